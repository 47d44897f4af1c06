//! One offer, one answer (RFC 7143 §6.2).

use super::keys::{Key, Rule};
use super::parameters::Parameters;

/// What becomes of an offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// To send back.
    Value(String),
    /// A declaration; our own goes out once, whatever theirs is.
    Declared,
    /// The value is none of the key's; to send back as `Reject`.
    Reject,
}

/// Negotiates one key. The result goes into `parameters`.
pub(crate) fn negotiate(key: &Key, offer: &str, parameters: &mut Parameters) -> Answer {
    let (result, answer) = match key.rule {
        Rule::List(known) => match choose(known, offer) {
            Some((place, name)) => (place, Answer::Value(name.to_owned())),
            None => return Answer::Reject,
        },
        Rule::And(ours) => match boolean(offer) {
            Some(theirs) => yes_or_no(theirs && ours),
            None => return Answer::Reject,
        },
        Rule::Or(ours) => match boolean(offer) {
            Some(theirs) => yes_or_no(theirs || ours),
            None => return Answer::Reject,
        },
        Rule::Min(low, high, ours) => match number(offer, low, high) {
            Some(theirs) => decimal(theirs.min(ours)),
            None => return Answer::Reject,
        },
        Rule::MinOfBurst(low, high, ours) => match number(offer, low, high) {
            Some(theirs) => decimal(theirs.min(ours).min(parameters.max_burst)),
            None => return Answer::Reject,
        },
        Rule::Max(low, high, ours) => match number(offer, low, high) {
            Some(theirs) => decimal(theirs.max(ours)),
            None => return Answer::Reject,
        },
        Rule::Declare(low, high, _) => match number(offer, low, high) {
            Some(theirs) => (theirs, Answer::Declared),
            None => return Answer::Reject,
        },
        Rule::Chap | Rule::Names(_) | Rule::SendTargets | Rule::Obsolete => return Answer::Reject,
    };
    (key.store)(parameters, result);
    answer
}

/// The first of the offered list that is known, with its place among ours.
fn choose(known: &'static [&'static str], offer: &str) -> Option<(u32, &'static str)> {
    offer.split(',').find_map(|item| {
        let place = known.iter().position(|name| *name == item)?;
        Some((u32::try_from(place).ok()?, *known.get(place)?))
    })
}

fn boolean(text: &str) -> Option<bool> {
    match text {
        "Yes" => Some(true),
        "No" => Some(false),
        _ => None,
    }
}

/// A number of the range, decimal or hexadecimal (RFC 7143 §6.1: numerical-value).
pub(crate) fn number(text: &str, low: u32, high: u32) -> Option<u32> {
    let hexadecimal = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let (digits, radix) = hexadecimal.map_or((text, 10), |digits| (digits, 16));
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    u32::from_str_radix(digits, radix)
        .ok()
        .filter(|number| (low..=high).contains(number))
}

fn yes_or_no(value: bool) -> (u32, Answer) {
    (
        value.into(),
        Answer::Value(if value { "Yes" } else { "No" }.to_owned()),
    )
}

fn decimal(value: u32) -> (u32, Answer) {
    (value, Answer::Value(value.to_string()))
}

#[cfg(test)]
mod tests {
    use super::super::keys;
    use super::*;

    fn answer(name: &str, offer: &str) -> String {
        let (_, key) = keys::find(name).unwrap();
        match negotiate(key, offer, &mut Parameters::default()) {
            Answer::Value(value) => value,
            Answer::Declared => "(declared)".to_owned(),
            Answer::Reject => "Reject".to_owned(),
        }
    }

    #[test]
    fn every_kind_of_key() {
        for (name, offer, expected) in [
            ("HeaderDigest", "CRC32C,None", "CRC32C"),
            ("HeaderDigest", "None,CRC32C", "None"),
            ("HeaderDigest", "X-other,CRC32C", "CRC32C"),
            ("DataDigest", "MD5", "Reject"),
            ("DataDigest", "", "Reject"),
            ("InitialR2T", "No", "Yes"),
            ("ImmediateData", "Yes", "No"),
            ("ImmediateData", "yes", "Reject"),
            ("MaxConnections", "8", "1"),
            ("MaxConnections", "0", "Reject"),
            ("MaxBurstLength", "16776192", "16776192"),
            ("MaxBurstLength", "0x40000", "262144"),
            ("MaxBurstLength", "511", "Reject"),
            ("MaxBurstLength", "16777216", "Reject"),
            ("MaxBurstLength", "+512", "Reject"),
            ("MaxBurstLength", "0x", "Reject"),
            ("MaxBurstLength", "99999999999999999999", "Reject"),
            ("DefaultTime2Wait", "0", "2"),
            ("DefaultTime2Wait", "5", "5"),
            ("DefaultTime2Retain", "20", "0"),
            ("ErrorRecoveryLevel", "2", "0"),
            ("ErrorRecoveryLevel", "3", "Reject"),
            ("MaxRecvDataSegmentLength", "262144", "(declared)"),
            ("MaxRecvDataSegmentLength", "1", "Reject"),
            ("IFMarker", "Yes", "No"),
            ("OFMarkInt", "2048~8192", "Reject"),
            (
                "TaskReporting",
                "FastAbort,ResponseFence,RFC3720",
                "RFC3720",
            ),
            ("iSCSIProtocolLevel", "2", "1"),
        ] {
            assert_eq!(answer(name, offer), expected, "{name}={offer}");
        }
    }

    #[test]
    fn results_are_kept() {
        let mut parameters = Parameters::default();
        assert_eq!(
            (parameters.max_burst, parameters.max_send_data_segment),
            (262_144, 8192)
        );
        for (name, offer) in [
            ("HeaderDigest", "CRC32C"),
            ("MaxRecvDataSegmentLength", "4096"),
            ("MaxBurstLength", "65536"),
        ] {
            negotiate(keys::find(name).unwrap().1, offer, &mut parameters);
        }
        assert_eq!(
            parameters.digests,
            crate::digest::Digests {
                header: true,
                data: false
            }
        );
        assert_eq!(
            (parameters.max_burst, parameters.max_send_data_segment),
            (65_536, 4096)
        );
    }
}
