//! Messages that name their client and their place, and whose every byte depends on both.

use crate::totals::Fault;

/// The client's number and the message's place.
const HEAD_BYTES: usize = 16;
/// A shorter message can't name both.
pub(crate) const LEAST_BYTES: usize = HEAD_BYTES;
/// What `/echo` takes.
pub(crate) const MOST_BYTES: usize = 16 << 20;
/// Without `--payload`.
pub(crate) const USUAL_BYTES: usize = 128;

/// Appends a message of `bytes` to `out`.
pub(crate) fn write(client: usize, sequence: u64, bytes: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&(client as u64).to_le_bytes());
    out.extend_from_slice(&sequence.to_le_bytes());
    let rest = bytes - HEAD_BYTES;
    (0..rest / 8).for_each(|at| out.extend_from_slice(&word(client, sequence, at).to_le_bytes()));
    out.extend_from_slice(&word(client, sequence, rest / 8).to_le_bytes()[..rest % 8]);
}

/// Whether `answer` is message `sequence` of `client`, of `bytes`.
pub(crate) fn check(client: usize, sequence: u64, bytes: usize, answer: &[u8]) -> Result<(), Fault> {
    let number = |at: usize| {
        answer.get(at..at + 8).and_then(|part| <[u8; 8]>::try_from(part).ok()).map(u64::from_le_bytes)
    };
    match (number(0), number(8)) {
        _ if answer.len() != bytes => return Err(Fault::Changed),
        (Some(other), _) if other != client as u64 => return Err(Fault::OtherClient),
        (_, Some(other)) if other != sequence => return Err(Fault::OutOfOrder),
        _ => {}
    }
    let words = answer[HEAD_BYTES..].chunks(8);
    let same = |(at, part): (usize, &[u8])| part == &word(client, sequence, at).to_le_bytes()[..part.len()];
    if words.enumerate().all(same) {
        Ok(())
    } else {
        Err(Fault::Changed)
    }
}

/// Eight bytes of the filling.
fn word(client: usize, sequence: u64, at: usize) -> u64 {
    const ODD: u64 = 0x9E37_79B9_7F4A_7C15;
    (client as u64 ^ sequence.rotate_left(32)).wrapping_add(at as u64 + 1).wrapping_mul(ODD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_right_only_for_its_client_its_place_and_unchanged() {
        for bytes in [16, 17, 24, 128, 1001] {
            let mut message = Vec::new();
            write(7, 3, bytes, &mut message);
            assert_eq!(message.len(), bytes);
            assert_eq!(check(7, 3, bytes, &message), Ok(()));
            assert_eq!(check(8, 3, bytes, &message), Err(Fault::OtherClient));
            assert_eq!(check(7, 4, bytes, &message), Err(Fault::OutOfOrder));
            assert_eq!(check(7, 3, bytes, &message[1..]), Err(Fault::Changed));
            for at in HEAD_BYTES..bytes {
                let mut changed = message.clone();
                changed[at] ^= 1;
                assert_eq!(check(7, 3, bytes, &changed), Err(Fault::Changed), "byte {at} of {bytes}");
            }
        }
    }
}
