//! Answers on their way from the sandbox to the client's outbox.

use bytes::Bytes;
use sandbox::framing::{Entry, MessageWriter, MAX_PACKETS, MAX_PACKET_BYTES};
use sandbox::Packets;

use super::PacketPool;
use crate::net::Outbox;

/// Where answers go: each as a message of its own, or together as entries of one message
/// ([`framing`](sandbox::framing)).
pub(super) struct Answers<'a> {
    out: &'a mut Outbox,
    packets: &'a PacketPool,
    /// `None` if every packet is a message.
    framed: Option<MessageWriter>,
    /// Bytes of all packets so far.
    bytes: u64,
}

impl<'a> Answers<'a> {
    pub(super) fn new(out: &'a mut Outbox, packets: &'a PacketPool, framing: bool) -> Self {
        Self { out, packets, framed: framing.then(MessageWriter::default), bytes: 0 }
    }

    /// Adds packets that answer one that came.
    pub(super) fn add(&mut self, packets: &Packets) {
        self.bytes += packets.bytes() as u64;
        for packet in packets.iter() {
            match &mut self.framed {
                None => self.out.binary(self.packets.copy(packet)),
                // A block of PCM can be longer than an entry; it goes out as several.
                Some(_) => packet.chunks(LONGEST_ENTRY).for_each(|part| self.entry(Entry::Packet(part))),
            }
        }
    }

    /// Says in its place that a packet that came has no answer. Without framing, the error that goes out says so.
    pub(super) fn add_missing(&mut self) {
        self.entry(Entry::Missing);
    }

    /// Tells the client something, before what is gathered here.
    pub(super) fn text(&mut self, text: String) {
        self.out.text(text);
    }

    /// Where they go.
    pub(super) fn outbox(&self) -> &Outbox {
        self.out
    }

    /// Sends what is gathered; returns the bytes of all packets.
    pub(super) fn finish(mut self) -> u64 {
        self.send();
        self.bytes
    }

    fn entry(&mut self, entry: Entry<'_>) {
        let Some(writer) = &mut self.framed else { return };
        // Neither empty nor too long nor one too many, so never refused.
        let _ = writer.push(entry);
        if writer.packets() == MAX_PACKETS {
            self.send();
        }
    }

    fn send(&mut self) {
        if let Some(writer) = self.framed.as_mut().filter(|writer| writer.packets() > 0) {
            self.out.binary(Bytes::from(std::mem::take(writer).into_message()));
        }
    }
}

/// Whole sample frames of every PCM format, mono and stereo: a multiple of 2, 3, 4, 6 and 8 bytes.
const LONGEST_ENTRY: usize = MAX_PACKET_BYTES / 24 * 24;
