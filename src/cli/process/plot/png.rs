//! A picture of 256 colours as a PNG file (RFC 2083), uncompressed: its size is bounded, and a compressor of its own
//! would be more than the rest of the drawing.

/// At most so many bytes are in a stored block of DEFLATE (RFC 1951, section 3.2.4).
const STORED_BLOCK: usize = 65_535;

/// `pixels` are rows of `width` places in `palette`, from the top; a last row that is not whole is left out.
pub(super) fn encode(width: usize, pixels: &[u8], palette: &[[u8; 3]; 256]) -> Vec<u8> {
    let rows = pixels.chunks_exact(width);
    let mut header = Vec::new();
    header.extend((width as u32).to_be_bytes());
    header.extend((rows.len() as u32).to_be_bytes());
    // 8 bits, indexed colours, the only compression and filter method, not interlaced.
    header.extend([8, 3, 0, 0, 0]);
    // Each row begins with its filter: none.
    let scanlines: Vec<u8> = rows.flat_map(|row| std::iter::once(0).chain(row.iter().copied())).collect();

    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    chunk(&mut file, b"IHDR", &header);
    chunk(&mut file, b"PLTE", palette.as_flattened());
    chunk(&mut file, b"IDAT", &zlib(&scanlines));
    chunk(&mut file, b"IEND", &[]);
    file
}

fn chunk(file: &mut Vec<u8>, kind: &[u8; 4], data: &[u8]) {
    file.extend((data.len() as u32).to_be_bytes());
    let begin = file.len();
    file.extend(kind);
    file.extend(data);
    let sum = crc32(&file[begin..]);
    file.extend(sum.to_be_bytes());
}

/// RFC 1950, around stored blocks.
fn zlib(data: &[u8]) -> Vec<u8> {
    let mut stream = vec![0x78, 0x01];
    let blocks = data.len().div_ceil(STORED_BLOCK);
    for (number, block) in data.chunks(STORED_BLOCK).enumerate() {
        let length = block.len() as u16;
        stream.push(u8::from(number + 1 == blocks));
        stream.extend(length.to_le_bytes());
        stream.extend((!length).to_le_bytes());
        stream.extend(block);
    }
    stream.extend(adler32(data).to_be_bytes());
    stream
}

/// RFC 1950, section 8.
fn adler32(data: &[u8]) -> u32 {
    const MODULUS: u32 = 65_521;
    let (low, high) = data.iter().fold((1u32, 0u32), |(low, high), byte| {
        let low = (low + u32::from(*byte)) % MODULUS;
        (low, (high + low) % MODULUS)
    });
    (high << 16) | low
}

/// RFC 2083, section 3.4.
fn crc32(data: &[u8]) -> u32 {
    !data.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(
            sum ^ u32::from(*byte),
            |sum, _| if sum & 1 == 1 { (sum >> 1) ^ 0xEDB8_8320 } else { sum >> 1 },
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sums_are_those_of_their_standards() {
        // The check value of CRC-32 in the catalogues, and of "Wikipedia" for Adler-32.
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(adler32(b"Wikipedia"), 0x11E6_0398);
    }

    #[test]
    fn a_picture_has_its_chunks_and_all_its_pixels() {
        let file = encode(300, &[7; 300 * 300], &[[1, 2, 3]; 256]);
        assert_eq!(&file[..8], b"\x89PNG\r\n\x1a\n");
        assert_eq!(&file[12..16], b"IHDR");
        assert_eq!(&file[16..24], [300u32.to_be_bytes(), 300u32.to_be_bytes()].as_flattened());
        assert_eq!(file.iter().filter(|byte| **byte == 7).count(), 300 * 300);
        // Signature, header, palette, two stored blocks with a filter byte each row, end.
        assert_eq!(file.len(), 8 + 25 + (12 + 768) + (12 + 2 + 2 * 5 + 301 * 300 + 4) + 12);
    }
}
