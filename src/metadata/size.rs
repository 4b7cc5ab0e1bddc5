//! How many bytes an image takes at most as the codec writes it. A checkpoint of the metadata is one value
//! of the codec, so the fold takes nothing that could make it larger than one.

use super::command::{Command, Refusal};
use super::image::{Image, Placed, Registration, Topic};
use super::settings::Settings;
use crate::error::{Error, ErrorKind};
use crate::topic::TopicName;
use raft::NodeId;

/// Bytes of the metadata: some 250,000 partitions of three replicas.
pub const IMAGE_BYTES_MAX: usize = 12 << 20;
/// The most bytes the codec makes of a number, and the most its limit counts for one.
const NUMBER_BYTES_MAX: usize = 9;
/// Of a `Uuid`, with its length.
const UUID_BYTES_MAX: usize = 16 + NUMBER_BYTES_MAX;
/// Of the image's own fields: the identity, four numbers and three lengths.
const FIELDS_BYTES_MAX: usize = UUID_BYTES_MAX + 7 * NUMBER_BYTES_MAX;

const _: () = assert!(
    IMAGE_BYTES_MAX + (1 << 20) <= storage::codec::VALUE_BYTES_MAX,
    "a checkpoint has room for what raft puts around the image"
);

impl Image {
    /// The most bytes the codec makes of it.
    pub(super) fn encoded_bytes_max(&self) -> usize {
        let brokers: usize = self.brokers().map(broker).sum();
        let topics: usize = self.topics().map(|(name, each)| topic(name, each)).sum();
        let coordinators: usize = self.coordinators().map(|(_, placed)| place(placed)).sum();
        FIELDS_BYTES_MAX + brokers + topics + coordinators
    }

    /// Refuses what might grow it beyond [`IMAGE_BYTES_MAX`].
    pub(super) fn check_size(&self, command: &Command) -> Result<(), Refusal> {
        let more = growth(command);
        if more == 0 {
            return Ok(());
        }
        let bytes = self.encoded_bytes_max() + more;
        if bytes <= IMAGE_BYTES_MAX {
            return Ok(());
        }
        let message = format!(
            "the metadata of the cluster would take {bytes} bytes; at most {IMAGE_BYTES_MAX} are \
             kept: delete topics first"
        );
        Err(Refusal::Rejected(Error::new(ErrorKind::PolicyViolation, message)))
    }
}

/// By how much a command grows an image at most.
fn growth(command: &Command) -> usize {
    match command {
        Command::CreateTopic { name, placement, settings, .. } => {
            let settings = Settings::of(settings.clone());
            bare_topic(name, &settings) + places(placement)
        }
        Command::AddPartitions { placement, .. }
        | Command::CreateCoordinators { placement, .. } => places(placement),
        Command::AlterTopic { changes, .. } => changes
            .iter()
            .filter_map(|(name, value)| Some(text(name) + text(value.as_deref()?)))
            .sum(),
        // A broker that moved must not be shut out. There are few, and the codec has room for them.
        Command::Register(_)
        | Command::Found { .. }
        | Command::DeleteTopic { .. }
        | Command::ReserveProducerIds => 0,
    }
}

fn broker(broker: &Registration) -> usize {
    let rack = broker.rack.as_deref().map_or(0, text);
    2 * NUMBER_BYTES_MAX + text(&broker.http) + text(&broker.peer) + 1 + rack + UUID_BYTES_MAX
}

fn topic(name: &TopicName, topic: &Topic) -> usize {
    bare_topic(name, &topic.settings) + topic.partitions.iter().map(place).sum::<usize>()
}

fn bare_topic(name: &TopicName, settings: &Settings) -> usize {
    let settings: usize = settings.iter().map(|(name, value)| text(name) + text(value)).sum();
    text(name.as_str()) + UUID_BYTES_MAX + settings + 2 * NUMBER_BYTES_MAX
}

fn places(placement: &[Vec<NodeId>]) -> usize {
    placement.iter().map(|replicas| place_of(replicas.len())).sum()
}

fn place(placed: &Placed) -> usize {
    place_of(placed.replicas.len())
}

/// A group's number and its replicas.
fn place_of(replicas: usize) -> usize {
    (2 + replicas) * NUMBER_BYTES_MAX
}

fn text(text: &str) -> usize {
    text.len() + NUMBER_BYTES_MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use uuid::Uuid;

    /// Three brokers, coordinators, and topics until no more is taken.
    fn full() -> (Image, Error) {
        let mut image = Image::default();
        for id in 1..=3 {
            let broker = Registration {
                id: NodeId(u64::MAX - id),
                http: "h".repeat(100),
                peer: "p".repeat(100),
                rack: Some("r".repeat(100)),
                disk: Uuid::max(),
            };
            image.apply(Command::Register(broker)).unwrap();
        }
        let replicas = || (1..=3).map(|id| NodeId(u64::MAX - id)).collect();
        let coordinators = Command::CreateCoordinators {
            placed_at: image.revision(),
            placement: vec![replicas(); 16],
        };
        image.apply(coordinators).unwrap();
        let settings = BTreeMap::from([("retention.ms".to_owned(), "1".repeat(100))]);
        for number in 0.. {
            let command = Command::CreateTopic {
                name: TopicName::new(&format!("topic-{number}")).unwrap(),
                id: Uuid::max(),
                placed_at: image.revision(),
                placement: vec![replicas(); 1000],
                settings: settings.clone(),
            };
            match image.apply(command) {
                Ok(_) => {}
                Err(Refusal::Rejected(error)) => return (image, error),
                Err(Refusal::Stale) => panic!("the placement is fresh"),
            }
        }
        unreachable!("an image is bounded");
    }

    #[test]
    fn what_the_codec_makes_of_a_full_image_is_below_the_bound_and_can_be_read() {
        let (image, error) = full();
        assert_eq!(error.kind, ErrorKind::PolicyViolation);
        let bytes = storage::codec::encode(&image);
        assert!(bytes.len() <= image.encoded_bytes_max());
        assert!(image.encoded_bytes_max() <= IMAGE_BYTES_MAX);
        assert_eq!(Image::decode(&bytes).unwrap(), image);
    }

    #[test]
    fn a_full_image_takes_no_more_until_something_goes() {
        let (mut image, _) = full();
        let name = |number: u32| TopicName::new(&format!("topic-{number}")).unwrap();
        let long = Some("x".repeat(60_000));
        let changes = BTreeMap::from([("retention.ms".to_owned(), long)]);
        let alter = Command::AlterTopic { name: name(0), changes };
        let before = image.clone();
        assert!(image.apply(alter.clone()).is_err());
        assert_eq!(image, before);
        for number in [1, 2] {
            let delete = Command::DeleteTopic { name: name(number), id: Uuid::max() };
            image.apply(delete).unwrap();
        }
        image.apply(alter).unwrap();
    }
}
