//! An archive of a few files in memory.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use datafusion::{
    arrow::{
        array::RecordBatch,
        datatypes::{DataType, Field, FieldRef, Schema},
        json::ReaderBuilder,
        util::pretty::pretty_format_batches,
    },
    parquet::{arrow::ArrowWriter, basic::Compression, file::properties::WriterProperties},
};
use futures_util::{FutureExt, TryStreamExt, future::BoxFuture};
use object_store::{ObjectStore, ObjectStoreExt, memory::InMemory, path::Path};
use serde_json::{Value, json};

use crate::{
    event::day_number,
    sql::{
        Engine, Error, File, Files, Options, Question, Sight, Source, Unlisted, View,
        schema::Columns,
    },
};

/// Files in memory, and how often they were listed.
#[derive(Debug)]
pub(super) struct Stored {
    store: Arc<InMemory>,
    files: Arc<Files>,
    pub(super) listed: AtomicUsize,
}

impl Source for Stored {
    fn files(&self) -> BoxFuture<'_, Result<Arc<Files>, Unlisted>> {
        self.listed.fetch_add(1, Relaxed);
        std::future::ready(Ok(Arc::clone(&self.files))).boxed()
    }

    fn store(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.store) as _
    }
}

/// An event, by what differs: where and when it was, what, by whom.
pub(super) fn event(account: &str, region: &str, second: i64, name: &str, arn: &str) -> Value {
    let time = jiff::Timestamp::from_second(second).unwrap();
    json!({
        "account_id": account,
        "region": region,
        "date": time.to_string().split('T').next(),
        "eventTime": time.to_string(),
        "eventID": format!("{second:032x}"),
        "eventName": name,
        "eventSource": "s3.amazonaws.com",
        "awsRegion": region,
        "recipientAccountId": account,
        "userIdentity": {
            "type": "IAMUser",
            "arn": arn,
            "userName": arn.rsplit('/').next(),
            "accountId": account,
            "sessionContext": {"attributes": {"mfaAuthenticated": "true"}},
        },
        "username": arn.rsplit('/').next(),
        "sourceIPAddress": "192.0.2.1",
        "readOnly": name.starts_with("Get"),
        "resources": [{"type": "AWS::S3::Bucket", "name": format!("bucket-{}", second % 3)}, {"name": "all"}],
        "requestParameters": format!("{{\"bucketName\":\"bucket-{}\",\"n\":{second}}}", second % 3),
        "origin": "LogFile",
        "identity": "00",
        "record": format!("{{\"eventName\":\"{name}\"}}"),
    })
}

/// The columns of a file as they are written: without views.
fn written(field: &Field) -> FieldRef {
    let data_type = match field.data_type() {
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        other => other.clone(),
    };
    Arc::new(field.clone().with_data_type(data_type))
}

/// An archive of these events: a file for each partition, or for so many events of it.
pub(super) async fn stored(events: &[Value], rows_a_file: usize) -> Arc<Stored> {
    let columns = Columns::read().unwrap();
    let fields: Vec<FieldRef> = columns.file.fields().iter().map(|it| written(it)).collect();
    let schema = Arc::new(Schema::new(fields));
    let mut partitions: BTreeMap<[String; 3], Vec<&Value>> = BTreeMap::new();
    for event in events {
        let part = |name: &str| event[name].as_str().unwrap().to_owned();
        let key = [part("account_id"), part("region"), part("date")];
        partitions.entry(key).or_default().push(event);
    }
    let store = Arc::new(InMemory::new());
    let mut files = Vec::new();
    for ([account, region, date], events) in partitions {
        for (number, events) in events.chunks(rows_a_file).enumerate() {
            let lines: String = events.iter().map(|event| format!("{event}\n")).collect();
            let mut reader = ReaderBuilder::new(Arc::clone(&schema))
                .with_batch_size(events.len())
                .build(lines.as_bytes())
                .unwrap();
            let batch: RecordBatch = reader.next().unwrap().unwrap();
            let properties = WriterProperties::builder()
                .set_compression(Compression::SNAPPY)
                .set_max_row_group_row_count(Some(1000))
                .build();
            let mut bytes = Vec::new();
            let mut writer =
                ArrowWriter::try_new(&mut bytes, Arc::clone(&schema), Some(properties)).unwrap();
            writer.write(&batch).unwrap();
            writer.close().unwrap();
            let path =
                format!("account_id={account}/region={region}/date={date}/part-{number}.parquet");
            let path = Path::from(path);
            let size = bytes.len() as u64;
            store.put(&path, bytes.into()).await.unwrap();
            let times: Vec<i64> = events
                .iter()
                .map(|event| {
                    let time: jiff::Timestamp =
                        event["eventTime"].as_str().unwrap().parse().unwrap();
                    time.as_microsecond()
                })
                .collect();
            let date: jiff::civil::Date = date.parse().unwrap();
            files.push(File {
                path,
                bytes: size,
                rows: Some(events.len() as u64),
                account: account.as_str().into(),
                region: region.as_str().into(),
                date: day_number(date),
                times: times.iter().min().copied().zip(times.iter().max().copied()),
            });
        }
    }
    Arc::new(Stored {
        store,
        files: Arc::new(Files { version: 1, files }),
        listed: AtomicUsize::new(0),
    })
}

/// 2023-07-10T12:00:00Z.
pub(super) const NOON: i64 = 1_688_990_400;

/// A few events in two accounts and two Regions, on two days.
pub(super) fn few() -> Vec<Value> {
    let (ann, bob) = ("arn:aws:iam::1:user/ann", "arn:aws:iam::2:user/bob");
    vec![
        event("111111111111", "eu-central-1", NOON, "GetObject", ann),
        event("111111111111", "eu-central-1", NOON + 60, "PutObject", ann),
        event("111111111111", "us-east-1", NOON + 120, "ConsoleLogin", ann),
        event(
            "111111111111",
            "eu-central-1",
            NOON + 86_400,
            "GetObject",
            ann,
        ),
        event(
            "222222222222",
            "eu-central-1",
            NOON + 30,
            "DeleteBucket",
            bob,
        ),
        event(
            "222222222222",
            "us-east-1",
            NOON + 86_430,
            "ConsoleLogin",
            bob,
        ),
    ]
}

pub(super) fn options() -> Options {
    Options {
        threads: 2,
        ..Options::default()
    }
}

pub(super) fn engine_with(source: Arc<Stored>, views: Vec<View>, options: Options) -> Engine {
    Engine::new(source, views, options).unwrap()
}

pub(super) async fn engine() -> Engine {
    engine_with(stored(&few(), 1000).await, Vec::new(), options())
}

/// The whole answer.
pub(super) async fn batches(
    engine: &Engine,
    question: Question,
    sight: Sight,
) -> Result<Vec<RecordBatch>, Error> {
    let answer = engine.ask(question, sight).await?;
    answer.try_collect().await
}

/// The lines of an answer, cells apart by `|`; first the names of its columns.
pub(super) async fn lines(engine: &Engine, text: &str, sight: Sight) -> Result<Vec<String>, Error> {
    let answer = engine.ask(Question::of(text), sight).await?;
    let schema = answer.schema();
    let batches: Vec<RecordBatch> = answer.try_collect().await?;
    let names: Vec<&str> = schema
        .fields()
        .iter()
        .map(|it| it.name().as_str())
        .collect();
    let mut lines = vec![names.join("|")];
    if batches.is_empty() {
        return Ok(lines);
    }
    let table = pretty_format_batches(&batches).unwrap().to_string();
    let rows = table.lines().skip(3).filter(|line| line.starts_with('|'));
    lines.extend(rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        cells.join("|")
    }));
    Ok(lines)
}

/// As [`lines`], of everything that there is.
pub(super) async fn ask(engine: &Engine, text: &str) -> Vec<String> {
    match lines(engine, text, Sight::all()).await {
        Ok(lines) => lines,
        Err(error) => panic!("{text}: {error}"),
    }
}

/// Why there is no answer.
pub(super) async fn error(engine: &Engine, text: &str) -> Error {
    match lines(engine, text, Sight::all()).await {
        Ok(lines) => panic!("{text}: {lines:?}"),
        Err(error) => error,
    }
}
