//! One poller a worker. (to come)
mod state;
mod wheel;
pub(crate) use state::{DriveState, Duty, Flags};
pub(crate) use wheel::Wheel;
