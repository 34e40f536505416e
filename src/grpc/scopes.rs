//! `ScopeService`.

use tonic::{Request, Response, Status};

use super::{Service, status::not_implemented};
use crate::proto::v1::{self, scope_service_server::ScopeService};

#[tonic::async_trait]
impl ScopeService for Service {
    async fn list_scopes(
        &self,
        _: Request<v1::ListScopesRequest>,
    ) -> Result<Response<v1::ListScopesResponse>, Status> {
        Err(not_implemented("ListScopes"))
    }
}
