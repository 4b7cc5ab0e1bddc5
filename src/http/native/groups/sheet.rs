//! An answer with records of several topics, in any of their forms. A partition's records are put in as
//! far as there is room; what is not in the answer is not delivered, and comes with the next one.

use crate::broker::{Polled, PolledPartition};
use crate::error::Error;
use crate::http::media::Media;
use crate::http::native::{Bounds, comma, fill};
use crate::http::record::{Form, native_of, v2};
use bytes::{BufMut, BytesMut};
use serde::Serialize;
use utoipa::ToSchema;

/// How much goes into one answer.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct Room {
    /// The form of the records.
    pub(in crate::http) media: Media,
    /// Where it ends.
    pub(in crate::http) bounds: Bounds,
}

/// Where one partition of a delivery stands.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(in crate::http) struct Stand {
    /// The topic.
    topic: String,
    /// The partition.
    partition: u32,
    /// The offset after the last record of this delivery.
    next_offset: u64,
    /// The offset after the last committed record of the partition.
    high_watermark: u64,
    /// The first offset that can be read.
    log_start_offset: u64,
}

/// The records of one delivery, and where each partition stands after it.
#[derive(Debug)]
pub(in crate::http) struct Sheet {
    pub(in crate::http) to: BytesMut,
    pub(in crate::http) stands: Vec<Stand>,
    pub(in crate::http) records: u64,
    /// The group's.
    pub(in crate::http) generation: u32,
}

impl Sheet {
    /// Puts in what there is room for; gives where each partition ends, in their order.
    pub(in crate::http) fn fill(polled: &Polled, room: Room) -> Result<(Self, Vec<u64>), Error> {
        let generation = polled.allotment.generation;
        let mut sheet = Self { to: BytesMut::new(), stands: Vec::new(), records: 0, generation };
        let mut ends = Vec::with_capacity(polled.partitions.len());
        for partition in &polled.partitions {
            let mut bounds = room.bounds;
            bounds.records_max = bounds.records_max.saturating_sub(sheet.records);
            if sheet.to.len() >= bounds.page_bytes_max {
                bounds.records_max = 0;
            }
            bounds.page_bytes_max = bounds.page_bytes_max.saturating_sub(sheet.to.len());
            ends.push(sheet.add(room.media, partition, bounds)?);
        }
        Ok((sheet, ends))
    }

    fn add(
        &mut self,
        media: Media,
        PolledPartition { at, found }: &PolledPartition,
        bounds: Bounds,
    ) -> Result<u64, Error> {
        let (topic, partition, before) = (at.topic.as_str(), at.partition.0, self.records);
        let end = fill(&mut self.to, found, bounds, |to, record, number| match media {
            Media::V2Json | Media::V2Binary => {
                let form = if media == Media::V2Json { Form::V2Json } else { Form::V2Binary };
                comma(to, before + number);
                v2(to, form, topic, partition, record);
            }
            Media::Ndjson | Media::EventStream => {
                native_of(to, topic, partition, record);
                to.put_u8(b'\n');
            }
            Media::Json | Media::V2 | Media::Octets | Media::Batches => {
                comma(to, before + number);
                native_of(to, topic, partition, record);
            }
        })?;
        self.records += end.records;
        self.stands.push(Stand {
            topic: topic.to_owned(),
            partition,
            next_offset: end.next,
            high_watermark: found.tail.high_watermark,
            log_start_offset: found.tail.log_start,
        });
        Ok(end.next)
    }
}
