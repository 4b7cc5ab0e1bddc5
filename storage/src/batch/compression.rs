//! The codecs of a batch, by Kafka's number and by Kafka's name.

use super::BatchError;
use super::header::CODEC;
use std::fmt;
use std::str::FromStr;

/// How the records of a batch are compressed (attributes, bits 0–2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Compression {
    /// Not at all.
    #[default]
    None = 0,
    /// gzip.
    Gzip = 1,
    /// snappy (xerial framing is read and written, raw is read).
    Snappy = 2,
    /// lz4 frame format.
    Lz4 = 3,
    /// zstd.
    Zstd = 4,
}

/// A name that is not a codec's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown compression {0:?}: one of none, gzip, snappy, lz4, zstd")]
pub struct UnknownCompression(pub String);

impl Compression {
    /// Every codec, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// Kafka's name (`compression.type`).
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// The codec that bits 0–2 of the attributes name.
    pub(super) fn from_attributes(attributes: i16) -> Result<Self, BatchError> {
        match attributes & CODEC {
            0 => Ok(Self::None),
            1 => Ok(Self::Gzip),
            2 => Ok(Self::Snappy),
            3 => Ok(Self::Lz4),
            4 => Ok(Self::Zstd),
            other => Err(BatchError::Codec(u8::try_from(other).expect("three bits fit in a byte"))),
        }
    }

    /// Bits 0–2 of the attributes.
    pub(super) const fn attributes(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Compression {
    type Err = UnknownCompression;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|codec| codec.name() == name)
            .ok_or_else(|| UnknownCompression(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_and_name_lead_back_to_the_codec() {
        for codec in Compression::ALL {
            assert_eq!(Compression::from_attributes(codec.attributes()), Ok(codec));
            assert_eq!(codec.name().parse(), Ok(codec));
        }
    }

    #[test]
    fn unknown_codecs_are_named() {
        assert_eq!(Compression::from_attributes(0x0f), Err(BatchError::Codec(7)));
        let error = "brotli".parse::<Compression>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown compression \"brotli\": one of none, gzip, snappy, lz4, zstd"
        );
    }
}
