//! What the fold does, one test a rule.

use super::*;

fn broker(id: u64) -> Registration {
    Registration {
        id: NodeId(id),
        http: format!("h{id}:8080"),
        peer: format!("h{id}:7001"),
        rack: None,
        disk: Uuid::from_u128(u128::from(id)),
    }
}

fn name(name: &str) -> TopicName {
    TopicName::new(name).unwrap()
}

fn three_brokers() -> Image {
    let mut image = Image::default();
    image.apply(Command::Found { cluster: Uuid::from_u128(99) }).unwrap();
    for id in 1..=3 {
        image.apply(Command::Register(broker(id))).unwrap();
    }
    image
}

fn create(image: &Image, topic: &str, partitions: usize) -> Command {
    Command::CreateTopic {
        name: name(topic),
        id: Uuid::from_u128(1),
        placed_at: image.revision(),
        placement: vec![vec![NodeId(1), NodeId(2), NodeId(3)]; partitions],
        settings: BTreeMap::new(),
    }
}

fn kind(answer: Answer) -> ErrorKind {
    match answer {
        Err(Refusal::Rejected(error)) => error.kind,
        other => panic!("{other:?} is not a rejection"),
    }
}

#[test]
fn each_reservation_of_producer_ids_has_a_revision_of_its_own() {
    let mut image = Image::default();
    let revisions: Vec<u64> =
        (0..3).map(|_| image.apply(Command::ReserveProducerIds).unwrap()).collect();
    assert_eq!(revisions, [1, 2, 3]);
}

#[test]
fn the_first_found_names_the_cluster() {
    let mut image = three_brokers();
    let before = image.clone();
    image.apply(Command::Found { cluster: Uuid::from_u128(5) }).unwrap();
    assert_eq!(image, before);
    assert_eq!(image.cluster(), Uuid::from_u128(99));
}

#[test]
fn a_known_id_on_another_disk_is_refused_naming_both() {
    let mut image = three_brokers();
    let wiped = Registration { disk: Uuid::from_u128(77), ..broker(2) };
    let Err(Refusal::Rejected(error)) = image.apply(Command::Register(wiped)) else {
        panic!("accepted")
    };
    assert!(error.message.contains("node 2"), "{error}");
    assert!(error.message.contains(&Uuid::from_u128(2).to_string()), "{error}");
    assert!(error.message.contains(&Uuid::from_u128(77).to_string()), "{error}");
}

#[test]
fn a_broker_moves_to_another_address() {
    let mut image = three_brokers();
    let moved = Registration { http: "elsewhere:1".into(), ..broker(2) };
    image.apply(Command::Register(moved.clone())).unwrap();
    assert_eq!(image.broker(NodeId(2)), Some(&moved));
}

#[test]
fn a_registration_without_news_changes_nothing() {
    let mut image = three_brokers();
    let before = image.revision();
    assert_eq!(image.apply(Command::Register(broker(3))), Ok(before));
}

#[test]
fn partitions_get_groups_of_their_own() {
    let mut image = three_brokers();
    image.apply(create(&image, "a", 2)).unwrap();
    image.apply(create(&image, "b", 1)).unwrap();
    let groups: Vec<u64> = image.hosted_by(NodeId(1)).map(|(_, p)| p.group.get()).collect();
    assert_eq!(groups, [1, 2, 3]);
    let (topic, partition, ..) = image.group(GroupId::new(2)).unwrap();
    assert_eq!((topic.as_str(), partition), ("a", PartitionId(1)));
}

#[test]
fn a_name_is_taken_once() {
    let mut image = three_brokers();
    image.apply(create(&image, "a", 1)).unwrap();
    let again = create(&image, "a", 1);
    assert_eq!(kind(image.apply(again)), ErrorKind::TopicExists);
}

#[test]
fn a_placement_from_an_older_image_is_stale() {
    let mut image = three_brokers();
    let early = create(&image, "b", 1);
    image.apply(create(&image, "a", 1)).unwrap();
    assert_eq!(image.apply(early), Err(Refusal::Stale));
}

#[test]
fn a_placement_names_distinct_known_brokers() {
    let mut image = three_brokers();
    for replicas in [vec![], vec![NodeId(1), NodeId(1)], vec![NodeId(9)]] {
        let command = Command::CreateTopic {
            name: name("a"),
            id: Uuid::nil(),
            placed_at: image.revision(),
            placement: vec![replicas],
            settings: BTreeMap::new(),
        };
        assert_eq!(kind(image.apply(command)), ErrorKind::InvalidSettings);
    }
}

#[test]
fn a_topic_has_at_most_a_thousand_partitions() {
    let mut image = three_brokers();
    image.apply(create(&image, "a", 1000)).unwrap();
    let more = Command::AddPartitions {
        name: name("a"),
        placed_at: image.revision(),
        placement: vec![vec![NodeId(1)]],
    };
    assert_eq!(kind(image.apply(more)), ErrorKind::InvalidSettings);
    let none = create(&image, "b", 0);
    assert_eq!(kind(image.apply(none)), ErrorKind::InvalidSettings);
}

#[test]
fn added_partitions_follow_the_last() {
    let mut image = three_brokers();
    image.apply(create(&image, "a", 1)).unwrap();
    image.apply(create(&image, "b", 1)).unwrap();
    let more = Command::AddPartitions {
        name: name("a"),
        placed_at: image.revision(),
        placement: vec![vec![NodeId(2), NodeId(3), NodeId(1)]],
    };
    image.apply(more).unwrap();
    let (_, placed) = image.partition(&name("a"), PartitionId(1)).unwrap();
    assert_eq!(placed.group, GroupId::new(3));
    assert_eq!(placed.replicas, [NodeId(2), NodeId(3), NodeId(1)]);
}

#[test]
fn a_deleted_group_is_known_as_deleted_and_never_used_again() {
    let mut image = three_brokers();
    image.apply(create(&image, "a", 2)).unwrap();
    assert!(!image.is_deleted(GroupId::new(1)));
    image.apply(Command::DeleteTopic { name: name("a"), id: Uuid::from_u128(1) }).unwrap();
    assert!(image.is_deleted(GroupId::new(1)));
    assert!(!image.is_deleted(GroupId::new(3)), "not yet given out");
    assert!(!image.is_deleted(crate::metadata::METADATA_GROUP));
    image.apply(create(&image, "a", 1)).unwrap();
    let (_, placed) = image.partition(&name("a"), PartitionId(0)).unwrap();
    assert_eq!(placed.group, GroupId::new(3));
}

#[test]
fn a_topic_made_anew_is_not_deleted_by_an_old_request() {
    let mut image = three_brokers();
    image.apply(create(&image, "a", 1)).unwrap();
    let old = Command::DeleteTopic { name: name("a"), id: Uuid::from_u128(1234) };
    assert_eq!(kind(image.apply(old)), ErrorKind::UnknownTopic);
    assert!(image.topic(&name("a")).is_ok());
}

#[test]
fn an_altered_setting_can_be_reset() {
    let mut image = three_brokers();
    image.apply(create(&image, "a", 1)).unwrap();
    let alter = |value: Option<&str>| Command::AlterTopic {
        name: name("a"),
        changes: BTreeMap::from([("flush.policy".to_owned(), value.map(str::to_owned))]),
    };
    image.apply(alter(Some("os"))).unwrap();
    assert_eq!(image.topic(&name("a")).unwrap().settings.flush(), storage::FlushPolicy::Os);
    image.apply(alter(None)).unwrap();
    assert_eq!(image.topic(&name("a")).unwrap().settings, Settings::default());
}

#[test]
fn a_checkpoint_restores_the_same_image() {
    let mut image = three_brokers();
    image.apply(create(&image, "a", 3)).unwrap();
    let restored = Image::decode(&storage::codec::encode(&image)).unwrap();
    assert_eq!(restored, image);
}

#[test]
fn a_damaged_checkpoint_is_an_error() {
    let mut bytes = storage::codec::encode(&three_brokers());
    bytes.truncate(bytes.len() - 1);
    assert_eq!(Image::decode(&bytes).unwrap_err().kind(), io::ErrorKind::InvalidData);
}

fn create_coordinators(image: &Image, count: usize) -> Command {
    let placement = vec![vec![NodeId(1), NodeId(2), NodeId(3)]; count];
    Command::CreateCoordinators { placed_at: image.revision(), placement }
}

#[test]
fn coordinators_are_made_once_and_their_number_stays() {
    let mut image = three_brokers();
    assert_eq!(image.coordinator_of("g"), None);
    image.apply(create(&image, "t", 1)).unwrap();
    image.apply(create_coordinators(&image, 4)).unwrap();
    let before = image.clone();
    assert_eq!(image.apply(create_coordinators(&image, 8)), Ok(before.revision()));
    assert_eq!(image, before);
    assert_eq!(image.coordinators().count(), 4);
    assert_eq!(image.coordinators_on(NodeId(2)).count(), 4);
}

#[test]
fn a_coordinators_group_is_no_partitions_and_not_deleted() {
    let mut image = three_brokers();
    image.apply(create(&image, "t", 1)).unwrap();
    image.apply(create_coordinators(&image, 2)).unwrap();
    let restored = Image::decode(&storage::codec::encode(&image)).unwrap();
    assert_eq!(restored, image);
    for image in [image, restored] {
        let coordinator = GroupId::new(3);
        assert!(image.is_coordinator(coordinator) && !image.is_coordinator(GroupId::new(1)));
        assert_eq!(image.group(coordinator), None);
        assert_eq!(image.placed(coordinator).unwrap().replicas.len(), 3);
        assert!(!image.is_deleted(coordinator));
        let names: Vec<String> = (0..5).map(|id| image.name_of(GroupId::new(id))).collect();
        assert_eq!(names, ["the metadata", "t-0", "coordinator 0", "coordinator 1", "group 4"]);
    }
}

#[test]
fn consumer_groups_are_spread_over_the_coordinators() {
    let mut image = three_brokers();
    image.apply(create_coordinators(&image, 4)).unwrap();
    let of = |group: u32| image.coordinator_of(&format!("group-{group}")).unwrap().1.group;
    let used: std::collections::BTreeSet<GroupId> = (0..64).map(of).collect();
    assert_eq!(used.len(), 4);
    assert_eq!(of(7), of(7));
}

#[test]
fn too_many_coordinators_are_refused() {
    let mut image = three_brokers();
    let answer = image.apply(create_coordinators(&image, 257));
    assert_eq!(kind(answer), ErrorKind::InvalidSettings);
}
