//! Lanes: connections of one pair of nodes that never wait for each other.

/// Which connection a request takes; a slow one never holds up another lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Votes, heartbeats, leadership transfer: small and urgent.
    Control,
    /// `AppendEntries` with payload, markers.
    Data,
    /// Calls of the floors above: forwarded produce and fetch, status.
    Call,
}

impl Lane {
    /// Every lane.
    pub const ALL: [Self; 3] = [Self::Control, Self::Data, Self::Call];

    /// The lane's byte in the greeting.
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Control => 1,
            Self::Data => 2,
            Self::Call => 3,
        }
    }

    /// The lane of a byte in a greeting.
    pub(super) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|lane| lane.code() == code)
    }
}

/// One value for each lane.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PerLane<T> {
    /// Of [`Lane::Control`].
    pub control: T,
    /// Of [`Lane::Data`].
    pub data: T,
    /// Of [`Lane::Call`].
    pub call: T,
}

impl<T> PerLane<T> {
    /// Makes the value of each lane.
    pub fn from_fn(mut make: impl FnMut(Lane) -> T) -> Self {
        Self { control: make(Lane::Control), data: make(Lane::Data), call: make(Lane::Call) }
    }

    /// The value of this lane.
    pub fn of(&self, lane: Lane) -> &T {
        match lane {
            Lane::Control => &self.control,
            Lane::Data => &self.data,
            Lane::Call => &self.call,
        }
    }

    /// The value of this lane, to be changed.
    pub fn of_mut(&mut self, lane: Lane) -> &mut T {
        match lane {
            Lane::Control => &mut self.control,
            Lane::Data => &mut self.data,
            Lane::Call => &mut self.call,
        }
    }
}
