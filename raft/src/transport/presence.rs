//! What is known of a peer's being there.
//!
//! ```text
//! Unseen ──connected──▶ Here ──its port refuses us──▶ Gone ──connected──▶ Here
//! ```
//!
//! A peer that is merely slow, or cut off by the network, stays `Here`: that is for the election
//! timeout to find out. `Gone` is certain: its machine answers that nobody listens any more.

use super::lane::{Lane, PerLane};

/// What connections and dials have told of a peer. Pure: the caller logs and announces.
#[derive(Debug, Default)]
pub(super) struct Presence {
    standing: Standing,
    links: PerLane<Link>,
    warned: Option<String>,
}

/// The state of one lane.
#[derive(Debug, Default, PartialEq, Eq)]
enum Link {
    /// Never connected, the first dial is under way.
    #[default]
    Dialling,
    /// Connected, as far as we know.
    Connected,
    /// The last connection or dial failed.
    Broken(String),
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Standing {
    #[default]
    Unseen,
    Here,
    Gone,
}

/// What a new connection means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// The peer was unseen or gone: worth an event and a log line.
    Peer,
    /// The peer was cut off: worth a log line.
    Contact,
    /// One more lane to a peer that is connected.
    Lane,
}

impl Presence {
    /// A lane is connected.
    pub(super) fn connected(&mut self, lane: Lane) -> Arrival {
        let cut_off = !self.any_connected();
        *self.links.of_mut(lane) = Link::Connected;
        self.warned = None;
        match std::mem::replace(&mut self.standing, Standing::Here) {
            Standing::Unseen | Standing::Gone => Arrival::Peer,
            Standing::Here if cut_off => Arrival::Contact,
            Standing::Here => Arrival::Lane,
        }
    }

    /// A lane's connection broke, or a dial failed; true if no lane is left.
    pub(super) fn broken(&mut self, lane: Lane, why: &str) -> bool {
        *self.links.of_mut(lane) = Link::Broken(why.to_owned());
        !self.any_connected()
    }

    /// The peer refused our greeting; true if it did not say so before.
    pub(super) fn refused(&mut self, lane: Lane, why: &str) -> bool {
        self.broken(lane, why);
        let news = self.warned.as_deref() != Some(why);
        self.warned = Some(why.to_owned());
        news
    }

    /// A connection broke and its redial finds nobody listening; true if that is news.
    pub(super) fn gone(&mut self) -> bool {
        let news = self.standing == Standing::Here;
        if news {
            self.standing = Standing::Gone;
        }
        news
    }

    /// Whether the control lane is connected, and what went wrong last if not: it carries the
    /// heartbeats, so it is the first to notice.
    pub(super) fn reachable(&self) -> Result<(), String> {
        match &self.links.control {
            Link::Connected => Ok(()),
            Link::Broken(why) => Err(why.clone()),
            Link::Dialling => Err("not connected yet".into()),
        }
    }

    /// The words of a peer that refused us and did not let us in since.
    pub(super) fn refusal(&self) -> Option<&str> {
        self.warned.as_deref()
    }

    fn any_connected(&self) -> bool {
        Lane::ALL.into_iter().any(|lane| *self.links.of(lane) == Link::Connected)
    }
}

#[cfg(test)]
mod tests {
    use super::Lane::{Control, Data};
    use super::*;

    #[test]
    fn only_the_first_lane_is_an_arrival() {
        let mut presence = Presence::default();
        assert_eq!(presence.connected(Control), Arrival::Peer);
        assert_eq!(presence.connected(Data), Arrival::Lane);
    }

    #[test]
    fn only_the_last_lane_is_a_loss() {
        let mut presence = Presence::default();
        presence.connected(Control);
        presence.connected(Data);
        assert!(!presence.broken(Control, "reset"));
        assert!(presence.broken(Data, "reset"));
    }

    #[test]
    fn a_peer_is_as_reachable_as_its_control_lane() {
        let mut presence = Presence::default();
        assert_eq!(presence.reachable(), Err("not connected yet".into()));
        presence.connected(Control);
        assert_eq!(presence.reachable(), Ok(()));
        presence.broken(Data, "reset");
        assert_eq!(presence.reachable(), Ok(()));
        presence.broken(Control, "silent");
        assert_eq!(presence.reachable(), Err("silent".into()));
    }

    #[test]
    fn a_broken_connection_alone_is_not_gone() {
        let mut presence = Presence::default();
        presence.connected(Control);
        presence.broken(Control, "reset");
        assert_eq!(presence.connected(Control), Arrival::Contact);
    }

    #[test]
    fn a_peer_goes_once_and_returns_once() {
        let mut presence = Presence::default();
        assert!(!presence.gone(), "never seen, so it cannot go");
        presence.connected(Control);
        presence.broken(Control, "reset");
        assert!(presence.gone());
        assert!(!presence.gone());
        assert_eq!(presence.connected(Control), Arrival::Peer);
    }

    #[test]
    fn an_equal_refusal_is_no_news() {
        let mut presence = Presence::default();
        assert!(presence.refused(Control, "other cluster"));
        assert!(!presence.refused(Data, "other cluster"));
        assert!(presence.refused(Control, "other disk"));
        assert_eq!(presence.refusal(), Some("other disk"));
        presence.connected(Control);
        assert_eq!(presence.refusal(), None);
        assert!(presence.refused(Control, "other disk"), "after a connection it is news again");
    }
}
