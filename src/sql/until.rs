//! Queries that compute without a pause: joins make many rows of few, and look neither
//! at the time nor at whether anybody still reads.

use std::{
    fmt::{self, Display, Formatter},
    hash::{Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::{
    arrow::{
        array::RecordBatch,
        datatypes::{DataType, Schema},
    },
    common::Result,
    logical_expr::ColumnarValue,
    physical_expr::PhysicalExpr,
    physical_plan::{
        ExecutionPlan,
        coop::CooperativeExec,
        joins::{HashJoinExec, NestedLoopJoinExec, NestedLoopJoinExecBuilder, SortMergeJoinExec},
    },
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::error::{Error, internal};

/// Until when a query may compute.
#[derive(Clone, Debug)]
pub(super) struct Until {
    /// When it has to be over.
    pub(super) end: Instant,
    /// How long that is from its beginning.
    pub(super) limit: Duration,
    /// Whether nobody reads the answer any more.
    pub(super) gone: CancellationToken,
}

impl Until {
    /// Whether it may go on.
    fn check(&self) -> Result<()> {
        if self.gone.is_cancelled() || Instant::now() >= self.end {
            return Err(Error::Time { limit: self.limit }.into());
        }
        Ok(())
    }
}

/// What makes many batches of one gives way to others between them, and looks at the
/// time where a condition is all that it makes them for.
pub(super) fn bound(
    node: Arc<dyn ExecutionPlan>,
    until: &Until,
) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let makes_many = matches!(
        node.name(),
        "CrossJoinExec"
            | "HashJoinExec"
            | "NestedLoopJoinExec"
            | "PiecewiseMergeJoinExec"
            | "RecursiveQueryExec"
            | "SortMergeJoinExec"
            | "SymmetricHashJoinExec"
            | "UnnestExec"
    );
    if !makes_many {
        return Ok(None);
    }
    let node = timed(&node, until)?.unwrap_or(node);
    Ok(Some(Arc::new(CooperativeExec::new(node))))
}

/// A join whose condition looks at the time.
fn timed(node: &Arc<dyn ExecutionPlan>, until: &Until) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let of = |filter: Option<&JoinFilter>| {
        filter.map(|filter| {
            let inner = Arc::clone(filter.expression());
            let timed = Arc::new(Timed {
                inner,
                until: until.clone(),
            });
            let indices = filter.column_indices().to_vec();
            JoinFilter::new(timed, indices, Arc::clone(filter.schema()))
        })
    };
    if let Some(join) = node.downcast_ref::<HashJoinExec>() {
        let Some(filter) = of(join.filter()) else {
            return Ok(None);
        };
        return Ok(Some(join.builder().with_filter(Some(filter)).build_exec()?));
    }
    if let Some(join) = node.downcast_ref::<NestedLoopJoinExec>() {
        let Some(filter) = of(join.filter()) else {
            return Ok(None);
        };
        let (left, right) = (Arc::clone(join.left()), Arc::clone(join.right()));
        let join = NestedLoopJoinExecBuilder::new(left, right, *join.join_type())
            .with_projection_ref(join.projection().clone())
            .with_filter(Some(filter));
        return Ok(Some(Arc::new(join.build()?)));
    }
    if let Some(join) = node.downcast_ref::<SortMergeJoinExec>() {
        let Some(filter) = of(join.filter().as_ref()) else {
            return Ok(None);
        };
        let join = SortMergeJoinExec::try_new(
            Arc::clone(join.left()),
            Arc::clone(join.right()),
            join.on().to_vec(),
            Some(filter),
            join.join_type(),
            join.sort_options().to_vec(),
            join.null_equality(),
        );
        return Ok(Some(Arc::new(join?)));
    }
    Ok(None)
}

/// A condition that looks at the time before it is evaluated.
#[derive(Debug)]
struct Timed {
    inner: Arc<dyn PhysicalExpr>,
    until: Until,
}

impl PartialEq for Timed {
    fn eq(&self, other: &Self) -> bool {
        self.inner.eq(&other.inner) && self.until.end == other.until.end
    }
}

impl Eq for Timed {}

impl Hash for Timed {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

impl Display for Timed {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Display::fmt(&self.inner, f)
    }
}

impl PhysicalExpr for Timed {
    fn data_type(&self, schema: &Schema) -> Result<DataType> {
        self.inner.data_type(schema)
    }

    fn nullable(&self, schema: &Schema) -> Result<bool> {
        self.inner.nullable(schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        self.until.check()?;
        self.inner.evaluate(batch)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.inner]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        let [inner] = children.as_slice() else {
            return Err(internal("a condition has one of its own"));
        };
        Ok(Arc::new(Self {
            inner: Arc::clone(inner),
            until: self.until.clone(),
        }))
    }

    fn fmt_sql(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.inner.fmt_sql(f)
    }
}
