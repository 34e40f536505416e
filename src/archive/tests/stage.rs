//! A store of tests: it tells times by the test's clock, and fails as it is told.

use std::{
    collections::HashMap,
    fmt,
    pin::Pin,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream, stream::BoxStream};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
    memory::InMemory, path::Path,
};

use crate::clock::Clock;

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is not done, and said to have failed.
    Fails,
    /// It is done, and said to have failed.
    AnswerLost,
    /// It is not done, and never answered.
    Stalls,
    /// It is done, and never answered.
    StallsDone,
    /// It is not let.
    Denied,
}

/// Which requests a fault happens to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// The first one, counted from now.
    pub(super) at: usize,
    /// How many: all later ones, if it is the end of the process.
    pub(super) count: usize,
    pub(super) fault: Fault,
}

/// What the store does beside what it is asked.
#[derive(Debug, Default)]
struct State {
    requests: usize,
    plan: Option<Plan>,
    modified: HashMap<Path, i64>,
    /// Puts that must not overwrite do.
    is_careless: bool,
    /// Names that are not listed, and such that are though they are not there.
    hidden: Vec<String>,
    invented: Vec<String>,
    /// What was asked, and of what.
    log: Vec<String>,
}

/// See the module. Clones are one.
#[derive(Clone)]
pub(super) struct Stage {
    inner: Arc<InMemory>,
    clock: Clock,
    state: Arc<Mutex<State>>,
}

impl Stage {
    pub(super) fn new(clock: &Clock) -> Self {
        Self {
            inner: Arc::new(InMemory::new()),
            clock: clock.clone(),
            state: Arc::default(),
        }
    }

    /// A store of its own that has what this one has.
    pub(super) fn fork(&self) -> Self {
        let modified = self.state.lock().unwrap().modified.clone();
        Self {
            inner: Arc::new(self.inner.fork()),
            clock: self.clock.clone(),
            state: Arc::new(Mutex::new(State {
                modified,
                ..State::default()
            })),
        }
    }

    pub(super) fn store(&self) -> Arc<dyn ObjectStore> {
        Arc::new(self.clone())
    }

    /// Has a fault happen, or none.
    pub(super) fn plan(&self, plan: Option<Plan>) {
        let mut state = self.state.lock().unwrap();
        state.plan = plan;
        state.requests = 0;
    }

    /// How many requests there were since a plan was made, or none.
    pub(super) fn requests(&self) -> usize {
        self.state.lock().unwrap().requests
    }

    pub(super) fn be_careless(&self) {
        self.state.lock().unwrap().is_careless = true;
    }

    pub(super) fn lie(&self, hidden: &[&str], invented: &[&str]) {
        let mut state = self.state.lock().unwrap();
        state.hidden = hidden.iter().map(ToString::to_string).collect();
        state.invented = invented.iter().map(ToString::to_string).collect();
    }

    /// What was asked since this was asked last.
    pub(super) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().log)
    }

    /// All that is there.
    pub(super) async fn paths(&self) -> Vec<String> {
        let listed: Vec<_> = self.inner.list(None).collect().await;
        listed
            .into_iter()
            .map(|meta| meta.unwrap().location.to_string())
            .collect()
    }

    pub(super) async fn get(&self, path: &str) -> Option<Bytes> {
        let got = self
            .inner
            .get_opts(&Path::from(path), GetOptions::default())
            .await;
        Some(got.ok()?.bytes().await.unwrap())
    }

    pub(super) async fn put(&self, path: &str, bytes: impl Into<Bytes>) {
        let payload = PutPayload::from_bytes(bytes.into());
        let options = PutOptions::default();
        self.inner
            .put_opts(&Path::from(path), payload, options)
            .await
            .unwrap();
        self.note(&Path::from(path));
    }

    pub(super) async fn delete(&self, path: &str) {
        let path = Path::from(path);
        let gone: Vec<_> = self
            .inner
            .delete_stream(stream::iter([Ok(path)]).boxed())
            .collect()
            .await;
        gone.into_iter().for_each(|gone| drop(gone.unwrap()));
    }

    fn note(&self, path: &Path) {
        let now = self.clock.now_secs();
        self.state
            .lock()
            .unwrap()
            .modified
            .insert(path.clone(), now);
    }

    /// What is to happen to a request.
    fn next(&self, what: &str, path: &Path) -> Option<Fault> {
        let mut state = self.state.lock().unwrap();
        state.log.push(format!("{what} {path}"));
        let number = state.requests;
        state.requests += 1;
        let plan = state.plan?;
        (number >= plan.at && number - plan.at < plan.count).then_some(plan.fault)
    }

    /// Does what is asked, as the plan has it.
    async fn act<T>(
        &self,
        what: &'static str,
        path: &Path,
        act: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let failed = || Error::Generic {
            store: "stage",
            source: format!("no more room for {what}").into(),
        };
        let fault = self.next(what, path);
        // others come in between, now here, now there
        for _ in 0..self.requests() * 7 % 5 {
            tokio::task::yield_now().await;
        }
        match fault {
            None => act.await,
            Some(Fault::Fails) => Err(failed()),
            Some(Fault::AnswerLost) => {
                let _ = act.await;
                Err(failed())
            }
            Some(Fault::Stalls) => std::future::pending().await,
            Some(Fault::StallsDone) => {
                let _ = act.await;
                std::future::pending().await
            }
            Some(Fault::Denied) => Err(Error::PermissionDenied {
                path: path.to_string(),
                source: "not for you".into(),
            }),
        }
    }

    fn told(&self, mut meta: ObjectMeta) -> ObjectMeta {
        let seconds = self
            .state
            .lock()
            .unwrap()
            .modified
            .get(&meta.location)
            .copied();
        let since = Duration::from_secs(seconds.unwrap_or(0).try_into().unwrap());
        meta.last_modified = (SystemTime::UNIX_EPOCH + since).into();
        meta
    }
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stage")
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("stage")
    }
}

type Doing<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// Written out as the trait's macro has it.
impl ObjectStore for Stage {
    fn put_opts<'a, 'b, 'c>(
        &'a self,
        path: &'b Path,
        payload: PutPayload,
        mut options: PutOptions,
    ) -> Doing<'c, PutResult>
    where
        'a: 'c,
        'b: 'c,
    {
        Box::pin(async move {
            if self.state.lock().unwrap().is_careless {
                options.mode = PutMode::Overwrite;
            }
            let put = async {
                let put = self.inner.put_opts(path, payload, options).await;
                if put.is_ok() {
                    self.note(path);
                }
                put
            };
            self.act("put", path, put).await
        })
    }

    fn put_multipart_opts<'a, 'b, 'c>(
        &'a self,
        path: &'b Path,
        options: PutMultipartOptions,
    ) -> Doing<'c, Box<dyn MultipartUpload>>
    where
        'a: 'c,
        'b: 'c,
    {
        Box::pin(async move {
            let begin = self.inner.put_multipart_opts(path, options);
            let upload = self.act("upload", path, begin).await?;
            self.note(path);
            Ok(upload)
        })
    }

    fn get_opts<'a, 'b, 'c>(&'a self, path: &'b Path, options: GetOptions) -> Doing<'c, GetResult>
    where
        'a: 'c,
        'b: 'c,
    {
        Box::pin(async move {
            self.act("get", path, self.inner.get_opts(path, options))
                .await
        })
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let stage = self.clone();
        paths
            .then(move |path| {
                let stage = stage.clone();
                async move {
                    let path = path?;
                    let one = stream::iter([Ok(path.clone())]).boxed();
                    let mut deleted = stage.inner.delete_stream(one);
                    let delete = async { deleted.next().await.unwrap() };
                    stage.act("delete", &path, delete).await
                }
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let stage = self.clone();
        let prefix = prefix.cloned().unwrap_or_default();
        let listed = async move {
            let list = async {
                let found: Vec<_> = stage.inner.list(Some(&prefix)).collect().await;
                Ok(found)
            };
            let mut found = match stage.act("list", &prefix, list).await {
                Ok(found) => found,
                Err(error) => vec![Err(error)],
            };
            let (hidden, invented) = {
                let state = stage.state.lock().unwrap();
                (state.hidden.clone(), state.invented.clone())
            };
            found.retain(|one| match one {
                Ok(meta) => !hidden
                    .iter()
                    .any(|name| meta.location.as_ref().contains(name)),
                Err(_) => true,
            });
            let invented = invented.iter().map(|name| {
                Ok(ObjectMeta {
                    location: Path::from(name.as_str()),
                    last_modified: SystemTime::UNIX_EPOCH.into(),
                    size: 1,
                    e_tag: None,
                    version: None,
                })
            });
            found.extend(invented.filter(|one: &Result<ObjectMeta>| {
                one.as_ref().unwrap().location.prefix_matches(&prefix)
            }));
            stream::iter(
                found
                    .into_iter()
                    .map(move |one| one.map(|meta| stage.told(meta))),
            )
        };
        stream::once(listed).flatten().boxed()
    }

    fn list_with_delimiter<'a, 'b, 'c>(&'a self, _: Option<&'b Path>) -> Doing<'c, ListResult>
    where
        'a: 'c,
        'b: 'c,
    {
        Box::pin(async { panic!("not used") })
    }

    fn copy_opts<'a, 'b, 'd, 'c>(
        &'a self,
        _: &'b Path,
        _: &'d Path,
        _: CopyOptions,
    ) -> Doing<'c, ()>
    where
        'a: 'c,
        'b: 'c,
        'd: 'c,
    {
        Box::pin(async { panic!("not used") })
    }
}
