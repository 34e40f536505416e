//! What the engine does not bound by itself: windows that hold all their input, of
//! which no share of memory knows, and lists that become rows, all of a batch at once.

use std::{collections::HashSet, fmt, sync::Arc};

use datafusion::{
    arrow::{
        array::{ArrayData, RecordBatch},
        buffer::Buffer,
    },
    common::{
        Result,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    execution::{SendableRecordBatchStream, TaskContext, memory_pool::MemoryConsumer},
    physical_expr::PhysicalExpr,
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, replace_children_if_necessary,
        stream::RecordBatchStreamAdapter,
    },
};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::{
    error::internal,
    options::BATCH_ROWS,
    until::{self, Until},
};

/// Bounds a plan that is about to run.
pub(super) fn bound(plan: Arc<dyn ExecutionPlan>, until: &Until) -> Result<Arc<dyn ExecutionPlan>> {
    let bound = plan.transform_up(|node| {
        if let Some(bound) = until::bound(Arc::clone(&node), until)? {
            return Ok(Transformed::yes(match bound.children().as_slice() {
                [inner] if inner.name() == "UnnestExec" => Gate::of(&bound, What::Cuts),
                _ => bound,
            }));
        }
        Ok(match node.name() {
            "WindowAggExec" => {
                let children = node.children().into_iter();
                let held = children.map(|child| Gate::of(child, What::Holds)).collect();
                Transformed::yes(replace_children_if_necessary(node, held)?)
            }
            _ => Transformed::no(node),
        })
    })?;
    Ok(bound.data)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    /// Whoever reads from it holds what it reads: that is its share's.
    Holds,
    /// Batches are cut to the rows that they may have.
    Cuts,
}

/// Passes batches on.
#[derive(Debug)]
struct Gate {
    input: Arc<dyn ExecutionPlan>,
    what: What,
}

impl Gate {
    fn of(input: &Arc<dyn ExecutionPlan>, what: What) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self {
            input: Arc::clone(input),
            what,
        })
    }
}

impl DisplayAs for Gate {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gate: {:?}", self.what)
    }
}

impl ExecutionPlan for Gate {
    fn name(&self) -> &'static str {
        "Gate"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let [input] = children.as_slice() else {
            return Err(internal("a gate has one input"));
        };
        Ok(Self::of(input, self.what))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let schema = self.schema();
        let batches = self.input.execute(partition, Arc::clone(&context))?;
        Ok(match self.what {
            What::Holds => {
                let held = MemoryConsumer::new("Window").register(context.memory_pool());
                let mut known = HashSet::new();
                let batches = batches.and_then(move |batch| {
                    let grown = held.try_grow(size(&batch, &mut known));
                    std::future::ready(grown.map(|()| batch))
                });
                Box::pin(RecordBatchStreamAdapter::new(schema, batches))
            }
            What::Cuts => {
                let batches = batches.flat_map(|batch| stream::iter(cut(batch)));
                Box::pin(RecordBatchStreamAdapter::new(schema, batches))
            }
        })
    }
}

/// A batch in pieces of at most so many rows as one may have.
fn cut(batch: Result<RecordBatch>) -> impl Iterator<Item = Result<RecordBatch>> {
    let rows = batch.as_ref().map_or(1, RecordBatch::num_rows);
    // an error, or a batch of no rows, is one piece
    let pieces = rows.div_ceil(BATCH_ROWS).max(1);
    let mut batch = Some(batch);
    (0..pieces).filter_map(move |piece| match &batch {
        Some(Ok(whole)) => {
            let from = piece * BATCH_ROWS;
            Some(Ok(whole.slice(from, BATCH_ROWS.min(rows - from))))
        }
        _ => batch.take(),
    })
}

/// The bytes of a batch that are not counted yet: many batches are views into one
/// buffer.
fn size(batch: &RecordBatch, known: &mut HashSet<usize>) -> usize {
    let columns = batch.columns().iter();
    columns.map(|column| of(&column.to_data(), known)).sum()
}

fn of(data: &ArrayData, known: &mut HashSet<usize>) -> usize {
    let own = data.buffers().iter().filter(|buffer| {
        let place = buffer.data_ptr().as_ptr().addr();
        known.insert(place)
    });
    let own: usize = own.map(Buffer::capacity).sum();
    let children = data.child_data().iter();
    own + children.map(|child| of(child, known)).sum::<usize>()
}
