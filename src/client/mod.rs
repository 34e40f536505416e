//! The gateway for Rust programs: one [`Client`] a process, lookups that page
//! and retry by themselves, subscriptions that resume.

mod checkpoint;
mod dynamic;
mod export;
mod fault;
mod pages;
mod recent;
mod retry;
mod subscribe;
mod token;

use std::{path::Path, time::Duration};

use futures_util::Stream;
use tonic::{
    Code, Request, Status, Streaming,
    service::interceptor::InterceptedService,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};

pub use checkpoint::{Checkpoint, CheckpointFile, CheckpointStore, StoreFuture};
pub use export::{Export, MAX_BREAKS};
pub use fault::Fault;
pub use pages::{LookupOptions, Pages};
pub use recent::Seen;
pub use retry::{MAX_RETRIES, MAX_RETRY_WAIT, Notice};
pub use subscribe::{Arrival, SubscribeError, Subscriber};

use self::token::TokenFile;
use crate::proto::v1::{
    ExportEventsRequest, GetEventRequest, GetEventResponse, IngestEventsRequest,
    IngestEventsResponse, ListReportsRequest, ListReportsResponse, ListScopesRequest,
    ListScopesResponse, LookupEventsRequest, LookupEventsResponse, RunReportRequest,
    RunReportResponse, SubscribeEventsRequest, SummarizeEventsRequest, SummarizeEventsResponse,
    event_service_client::EventServiceClient, report_service_client::ReportServiceClient,
    scope_service_client::ScopeServiceClient,
};

/// How long a connection may take to come up: an address that answers does so
/// within a round trip or two.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may be silent before it is asked whether it lives.
/// Not under 10 s, which servers may take for an attack (gRPC's keepalive
/// guide).
const KEEPALIVE: Duration = Duration::from_secs(20);
/// How long the answer to that may take.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest message taken. The server bounds pages to 3 MiB plus one event,
/// and an event's record to what AWS gave, at most 256 KB by its documentation.
const MAX_MESSAGE: usize = 8 << 20;
/// The largest message of a report's answer that is taken: rows are not cut, and one has
/// a record of at most some 256 KB many times over in what is made of it.
const MAX_ROW: usize = 64 << 20;

/// What gRPC is told that we are.
const USER_AGENT: &str = concat!("trailgate/", env!("CARGO_PKG_VERSION"));

/// An endpoint that cannot be connected to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// It is none.
    #[error(
        "{endpoint:?} is no endpoint: {reason}; write it like http://127.0.0.1:50051, or \
         https://gateway:50051 for TLS"
    )]
    Endpoint {
        /// As it was given.
        endpoint: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The gateway's certificate can be known by none of [`Tls::ca`], or of those that
    /// this machine trusts.
    #[error("no authorities can be had to know the gateway by: {0}; give some in PEM")]
    Authorities(String),
    /// [`Tls::identity`] cannot be shown.
    #[error("the certificate and its key cannot be shown: {0}")]
    Identity(String),
}

/// How a gateway is known by TLS, and how it knows its caller.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// The authorities of the gateway's certificate, in PEM. `None`: those that
    /// this machine trusts.
    pub ca: Option<Vec<u8>>,
    /// The caller's certificate, with those between it and its authority, and its
    /// private key, in PEM.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // a key is nobody's to read
        f.debug_struct("Tls")
            .field("has_ca", &self.ca.is_some())
            .field("has_identity", &self.identity.is_some())
            .finish()
    }
}

/// A connection to a gateway. Cheap to clone; clones share the connection.
#[derive(Clone, Debug)]
pub struct Client {
    channel: Channel,
    events: EventServiceClient<Link>,
    scopes: ScopeServiceClient<Link>,
    reports: ReportServiceClient<Link>,
    link: Link,
}

/// A connection, with what is sent beside each call.
pub(crate) type Link = InterceptedService<Channel, TokenFile>;

impl Client {
    /// A client of the gateway at `endpoint`: `http://127.0.0.1:50051`, the
    /// same with `grpc://`, or `127.0.0.1:50051`; with `https://` or `grpcs://` by
    /// TLS, with a certificate of an authority that this machine trusts. It
    /// connects when it is first used, and again when the connection broke.
    ///
    /// # Errors
    ///
    /// `endpoint` is none of these.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime, which the connection lives on.
    pub fn new(endpoint: &str) -> Result<Self, EndpointError> {
        Self::with_tls(endpoint, &Tls::default())
    }

    /// As [`Client::new`], with what TLS is to know: it is for `https://` and
    /// `grpcs://`.
    ///
    /// # Errors
    ///
    /// As of [`Client::new`]; `tls` has what is no certificate or no key, or has
    /// anything where `endpoint` is plain text.
    ///
    /// # Panics
    ///
    /// As [`Client::new`].
    pub fn with_tls(endpoint: &str, tls: &Tls) -> Result<Self, EndpointError> {
        let mut to = address(endpoint)?;
        let is_secure = to.uri().scheme_str() == Some("https");
        if !is_secure && *tls != Tls::default() {
            return Err(EndpointError::Endpoint {
                endpoint: endpoint.to_owned(),
                reason: "certificates are for TLS, and this is plain text; give https://"
                    .to_owned(),
            });
        }
        if is_secure {
            to = secured(endpoint, to, tls)?;
        }
        let channel = to
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEPALIVE)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .connect_lazy();
        Ok(Self::from_channel(channel))
    }

    /// A client on a channel made elsewhere, for other transports and settings.
    #[must_use]
    pub fn from_channel(channel: Channel) -> Self {
        Self::linked(channel, TokenFile::default())
    }

    /// The same, with the bearer token of a file beside each call: what the file has
    /// then, since tokens are renewed in place. Where it cannot be read, calls end
    /// with `UNAUTHENTICATED`. Without TLS everyone on the way reads it too.
    #[must_use]
    pub fn with_token_file(self, path: &Path) -> Self {
        Self::linked(self.channel, TokenFile::at(path))
    }

    fn linked(channel: Channel, token: TokenFile) -> Self {
        let link = InterceptedService::new(channel.clone(), token);
        Self {
            scopes: ScopeServiceClient::new(link.clone()).max_decoding_message_size(MAX_MESSAGE),
            events: EventServiceClient::new(link.clone()).max_decoding_message_size(MAX_MESSAGE),
            reports: ReportServiceClient::new(link.clone()).max_decoding_message_size(MAX_ROW),
            channel,
            link,
        }
    }

    /// A client of Flight SQL over the same connection.
    #[cfg(feature = "sql")]
    pub(crate) fn flight(&self) -> arrow_flight::flight_service_client::FlightServiceClient<Link> {
        arrow_flight::flight_service_client::FlightServiceClient::new(self.link.clone())
    }

    /// Every page of a lookup, from `request.page_token` on.
    #[must_use]
    pub fn lookup(&self, request: LookupEventsRequest, options: LookupOptions) -> Pages {
        Pages::new(self.clone(), request, options)
    }

    /// Every event of an export, from `request.page_token` on. It has no
    /// deadline: it takes as long as AWS does.
    #[must_use]
    pub fn export(&self, request: ExportEventsRequest) -> Export {
        Export::new(self.clone(), request)
    }

    /// Events as they arrive. It reconnects and resumes by itself, drops what a
    /// server's restart repeats, and keeps a checkpoint if it is given a store:
    ///
    /// ```no_run
    /// # use trailgate::{client::{CheckpointFile, Client}, proto::v1::SubscribeEventsRequest};
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = Client::new("http://127.0.0.1:50051")?;
    /// let mut events = client
    ///     .subscribe(SubscribeEventsRequest::default())
    ///     .checkpoint(CheckpointFile::new("alerts.checkpoint"));
    /// events
    ///     .for_each(|event| async move {
    ///         println!("{} {}", event.event_name, event.record);
    ///         Ok::<(), std::io::Error>(())
    ///     })
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn subscribe(&self, request: SubscribeEventsRequest) -> Subscriber {
        Subscriber::new(self.clone(), request)
    }

    /// Sends log files, step by step, and is told what came of each; see
    /// `IngestEvents` of the contract. It has no deadline: the gateway takes what
    /// its subscribers can read. Responses must be read while requests are sent.
    /// What broke off may be sent again: known events are told apart.
    ///
    /// # Errors
    ///
    /// The server's status; the stream's are the same.
    pub async fn ingest(
        &self,
        requests: impl Stream<Item = IngestEventsRequest> + Send + 'static,
    ) -> Result<Streaming<IngestEventsResponse>, Status> {
        let mut events = self.events.clone();
        let answer = events.ingest_events(requests).await?;
        Ok(answer.into_inner())
    }

    /// One page of a lookup, asked for once; `timeout` is the deadline that
    /// the server is told.
    ///
    /// # Errors
    ///
    /// The server's status, or `UNAVAILABLE` or `DEADLINE_EXCEEDED` if it gave
    /// none.
    pub async fn lookup_page(
        &self,
        request: LookupEventsRequest,
        timeout: Duration,
    ) -> Result<LookupEventsResponse, Status> {
        let mut events = self.events.clone();
        let answer = events.lookup_events(within(timeout, request)).await;
        answer
            .map(tonic::Response::into_inner)
            .map_err(|status| in_time(status, timeout))
    }

    /// One event by its id; `timeout` is the deadline that the server is told
    /// each time. Where it names a wait it is asked again, as of
    /// [`MAX_RETRIES`]: what it searched so far it need not search again.
    ///
    /// # Errors
    ///
    /// As of [`Client::lookup_page`]; `NOT_FOUND` if every scope was searched
    /// and none has it.
    pub async fn get(
        &self,
        request: GetEventRequest,
        timeout: Duration,
    ) -> Result<GetEventResponse, Status> {
        let ask = async || {
            let mut events = self.events.clone();
            let answer = events.get_event(within(timeout, request.clone())).await;
            answer
                .map(tonic::Response::into_inner)
                .map_err(|status| in_time(status, timeout))
        };
        retry::retrying(ask, &mut |_| {}).await
    }

    /// Counts of events, over what could be searched within `timeout`, which
    /// the server is told; `scopes` of the answer says what that was. Asked
    /// once more, the server goes on from what it holds. Where it names a
    /// wait it is asked again, as of [`MAX_RETRIES`].
    ///
    /// # Errors
    ///
    /// As of [`Client::lookup_page`].
    pub async fn summarize(
        &self,
        request: SummarizeEventsRequest,
        timeout: Duration,
    ) -> Result<SummarizeEventsResponse, Status> {
        let ask = async || {
            let mut events = self.events.clone();
            let answer = events.summarize_events(within(timeout, request.clone()));
            answer
                .await
                .map(tonic::Response::into_inner)
                .map_err(|status| in_time(status, timeout))
        };
        retry::retrying(ask, &mut |_| {}).await
    }

    /// The reports that there are, asked for once; `timeout` is the deadline that the
    /// server is told.
    ///
    /// # Errors
    ///
    /// As of [`Client::lookup_page`]; `UNIMPLEMENTED` from a server without an archive,
    /// or without SQL.
    pub async fn list_reports(&self, timeout: Duration) -> Result<ListReportsResponse, Status> {
        let mut reports = self.reports.clone();
        let answer = reports
            .list_reports(within(timeout, ListReportsRequest::default()))
            .await;
        answer
            .map(tonic::Response::into_inner)
            .map_err(|status| in_time(status, timeout))
    }

    /// Runs a report, once: a header, then rows. It has no deadline but the server's. An
    /// answer that does not end with its stream is not whole.
    ///
    /// # Errors
    ///
    /// The server's status, as of [`Client::list_reports`]; the stream's are the same.
    pub async fn run_report(
        &self,
        request: RunReportRequest,
    ) -> Result<Streaming<RunReportResponse>, Status> {
        let mut reports = self.reports.clone();
        let answer = reports.run_report(request).await?;
        Ok(answer.into_inner())
    }

    /// How each scope stands, asked for once; `timeout` is the deadline that
    /// the server is told. It costs no request to AWS.
    ///
    /// # Errors
    ///
    /// As of [`Client::lookup_page`].
    pub async fn list_scopes(
        &self,
        request: ListScopesRequest,
        timeout: Duration,
    ) -> Result<ListScopesResponse, Status> {
        let mut scopes = self.scopes.clone();
        let answer = scopes.list_scopes(within(timeout, request)).await;
        answer
            .map(tonic::Response::into_inner)
            .map_err(|status| in_time(status, timeout))
    }
}

/// The same endpoint by TLS.
fn secured(endpoint: &str, to: Endpoint, tls: &Tls) -> Result<Endpoint, EndpointError> {
    /// Authorities that cannot be read are passed over, and then nothing is trusted.
    const MARK: &[u8] = b"BEGIN CERTIFICATE";
    if let Some(ca) = &tls.ca
        && !ca.windows(MARK.len()).any(|words| words == MARK)
    {
        let what = "there is no certificate in PEM (BEGIN CERTIFICATE)";
        return Err(EndpointError::Authorities(what.to_owned()));
    }
    let authorities = match &tls.ca {
        Some(ca) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca)),
        None => ClientTlsConfig::new().with_native_roots(),
    };
    let why = |error: tonic::transport::Error| {
        let causes: Vec<_> = fault::causes(&error).map(ToString::to_string).collect();
        causes.join(": ")
    };
    let without_identity = |error| match why(error) {
        reason if reason.contains("dns name") => EndpointError::Endpoint {
            endpoint: endpoint.to_owned(),
            reason,
        },
        reason => EndpointError::Authorities(reason),
    };
    let Some((cert, key)) = &tls.identity else {
        return to.tls_config(authorities).map_err(without_identity);
    };
    let shown = Identity::from_pem(cert, key);
    let secured = to.clone().tls_config(authorities.clone().identity(shown));
    secured.map_err(|error| match to.tls_config(authorities) {
        // with nothing to show it can be had
        Ok(_) => EndpointError::Identity(match why(error) {
            why if why.contains("UnsupportedCertVersion") => {
                "it is of X.509 version 1; sign one with extensions, such as a subjectAltName \
                 (openssl x509 -req -extfile)"
                    .to_owned()
            }
            why => format!("{why}; give both of one pair, in PEM and not encrypted"),
        }),
        Err(error) => without_identity(error),
    })
}

/// Reads an endpoint; connects to nothing.
///
/// # Errors
///
/// As of [`Client::new`].
pub(crate) fn address(endpoint: &str) -> Result<Endpoint, EndpointError> {
    let error = |reason: &str| EndpointError::Endpoint {
        endpoint: endpoint.to_owned(),
        reason: reason.to_owned(),
    };
    let url = match endpoint.split_once("://") {
        Some(("http" | "grpc", rest)) => format!("http://{rest}"),
        Some(("https" | "grpcs", rest)) => format!("https://{rest}"),
        Some(_) => return Err(error("only http, https, grpc and grpcs are supported")),
        None => format!("http://{endpoint}"),
    };
    let to = Endpoint::from_shared(url)
        .and_then(|to| to.user_agent(USER_AGENT))
        .map_err(|_| error("not a URL"))?;
    if to.uri().host().is_none_or(str::is_empty) {
        return Err(error("a host is missing"));
    }
    // port 80 is HTTP's habit, and no gateway's
    if to.uri().port().is_none() && !endpoint.starts_with("http") {
        return Err(error("a port is missing"));
    }
    Ok(to)
}

fn within<T>(timeout: Duration, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(timeout);
    request
}

/// tonic says CANCELLED where its own timer ran out.
fn in_time(status: Status, timeout: Duration) -> Status {
    if status.code() == Code::Cancelled && status.message() == "Timeout expired" {
        let seconds = timeout.as_secs_f64();
        return Status::deadline_exceeded(format!("no answer within {seconds} s"));
    }
    status
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::tests::VERSION_1;

    #[test]
    fn an_endpoint_is_a_host_and_a_port() {
        for (endpoint, url) in [
            ("http://127.0.0.1:50051", "http://127.0.0.1:50051/"),
            ("grpc://127.0.0.1:50051", "http://127.0.0.1:50051/"),
            ("localhost:50051", "http://localhost:50051/"),
            ("[::1]:50051", "http://[::1]:50051/"),
            ("http://gateway", "http://gateway/"),
            ("https://gateway", "https://gateway/"),
            ("grpcs://gateway:1", "https://gateway:1/"),
        ] {
            assert_eq!(address(endpoint).unwrap().uri(), url);
        }
        for (endpoint, word) in [
            ("localhost", "port is missing"),
            ("grpc://localhost", "port is missing"),
            ("grpcs://a", "port is missing"),
            ("ftp://a:1", "only http"),
            ("a b:1", "not a URL"),
            ("", ""),
        ] {
            let error = address(endpoint).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
            assert!(error.contains("http://127.0.0.1:50051"), "{error}");
        }
    }

    #[tokio::test]
    async fn what_tls_cannot_be_had_with_is_told_apart() {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["gateway".into()]).unwrap();
        let cert = params.self_signed(&key).unwrap().pem();
        let (good, key) = (cert.as_bytes(), key.serialize_pem());
        let with = |ca: &[u8], shown: &[u8]| {
            let tls = Tls {
                ca: Some(ca.to_vec()),
                identity: Some((shown.to_vec(), key.as_bytes().to_vec())),
            };
            Client::with_tls("https://gateway:1", &tls).map(drop)
        };
        assert_eq!(with(good, good), Ok(()));
        let of = |error: Result<(), EndpointError>| error.unwrap_err();
        let error = of(with(good, VERSION_1.as_bytes()));
        assert!(matches!(error, EndpointError::Identity(_)), "{error}");
        assert!(error.to_string().contains("version 1"), "{error}");
        assert!(matches!(
            of(with(good, b"none")),
            EndpointError::Identity(_)
        ));
        let error = of(with(b"none", good));
        assert!(matches!(error, EndpointError::Authorities(_)), "{error}");
    }
}
