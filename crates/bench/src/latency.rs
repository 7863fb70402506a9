//! Small requests: produce of one record, acks=1, against an echo of the same sizes.

use crate::batch;
use crate::case::{Case, Path};
use crate::drive::{Conversation, Until, drive};
use crate::error::{BenchError, Result};
use crate::lab::{Lab, timestamp_ms};
use crate::produce::{ToBroker, ToRaw};
use crate::raw::Job;
use crate::request::Template;
use crate::sample::{Metric, Sample, Target};

/// Bytes of the record's value.
const VALUE_LEN: usize = 100;
/// Bytes of the echo's answer: those of a Produce response for one partition.
const ANSWER_LEN: usize = 64;

/// One and sixteen connections, one request at a time on each.
pub(crate) fn cases<'a>(lab: &'a Lab, broker_name: &'static str) -> Result<Vec<Case<'a>>> {
    let topic = lab.create_topic("bench-latency", 1)?;
    let batch = batch::of_one_record(VALUE_LEN, timestamp_ms())
        .ok_or_else(|| BenchError::Usage("a record that does not fit its batch".into()))?;
    let template = Template::produce(&topic, 1, &batch)?;
    let cases = [1, 16].map(|connections| {
        let (to_raw, to_broker) = (template.clone(), template.clone());
        Case {
            path: Path::Latency,
            label: label(connections),
            sides: vec![
                (
                    "raw echo",
                    Box::new(move || echo(lab, &to_raw, connections)) as _,
                ),
                (
                    broker_name,
                    Box::new(move || produce(lab, &to_broker, connections)) as _,
                ),
            ],
            targets: match connections {
                1 => vec![
                    Target::AtMost(Metric::CpuPerRequest, 20.0),
                    Target::AtMost(Metric::P50, 40.0),
                ],
                _ => Vec::new(),
            },
        }
    });
    Ok(cases.into())
}

/// The name of a case.
pub(crate) fn label(connections: usize) -> String {
    format!("a record of {VALUE_LEN} B, {connections} conn.")
}

fn echo(lab: &Lab, template: &Template, connections: usize) -> Result<Sample> {
    let job = Job::Echo {
        request_len: template.len(),
        answer_len: ANSWER_LEN,
    };
    let conversation = || {
        Ok(Box::new(ToRaw::one_at_a_time(lab, &job, template.clone())?) as Box<dyn Conversation>)
    };
    let conversations = (0..connections)
        .map(|_| conversation())
        .collect::<Result<_>>()?;
    drive(
        lab.raw.clock,
        conversations,
        Until::Elapsed(lab.extent.slice),
    )
}

fn produce(lab: &Lab, template: &Template, connections: usize) -> Result<Sample> {
    let conversation =
        || Ok(Box::new(ToBroker::one_at_a_time(lab, template.clone())?) as Box<dyn Conversation>);
    let conversations = (0..connections)
        .map(|_| conversation())
        .collect::<Result<_>>()?;
    drive(
        lab.broker.clock,
        conversations,
        Until::Elapsed(lab.extent.slice),
    )
}
