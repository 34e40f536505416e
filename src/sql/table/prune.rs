//! Which files may have what is asked for, by what is known of each.

use std::{collections::HashSet, sync::Arc};

use datafusion::{
    arrow::{
        array::{
            ArrayRef, BooleanArray, Date32Array, RecordBatch, StringViewArray,
            TimestampMicrosecondArray, UInt64Array,
        },
        datatypes::Schema,
    },
    common::{Column, Result, ScalarValue, cast::as_boolean_array, pruning::PruningStatistics},
    logical_expr::Expr,
    physical_expr::PhysicalExpr,
    physical_optimizer::pruning::PruningPredicateBuilder,
};

use super::super::{
    files::File,
    schema::{Columns, PARTITIONS, ZONE},
};

/// Whether the name of a partition decides it.
pub(super) fn is_of_partitions(filter: &Expr) -> bool {
    let columns = filter.column_refs();
    !columns.is_empty()
        && !filter.is_volatile()
        && columns
            .iter()
            .all(|column| PARTITIONS.contains(&column.name.as_str()))
}

/// Those whose partition a filter lets through.
pub(super) fn by_partition<'a>(
    files: Vec<&'a File>,
    filter: &Arc<dyn PhysicalExpr>,
    columns: &Columns,
) -> Result<Vec<&'a File>> {
    if files.is_empty() {
        return Ok(files);
    }
    // the filter's columns stand where the table has them
    let partitions = Schema::new(columns.partitions.clone());
    let filter =
        datafusion::physical_expr::utils::reassign_expr_columns(Arc::clone(filter), &partitions)?;
    let named = PARTITIONS.map(|name| known(&files, name, false));
    let named = named.into_iter().flatten().collect();
    let batch = RecordBatch::try_new(Arc::new(partitions), named)?;
    let verdicts = filter.evaluate(&batch)?.into_array(files.len())?;
    let verdicts = as_boolean_array(&verdicts)?;
    let is_in = verdicts.iter().map(|verdict| verdict == Some(true));
    Ok(files
        .into_iter()
        .zip(is_in)
        .filter_map(|(file, is_in)| is_in.then_some(file))
        .collect())
}

/// Those whose statistics do not say that a filter lets nothing through.
pub(super) fn by_statistics<'a>(
    files: Vec<&'a File>,
    filter: &Arc<dyn PhysicalExpr>,
    columns: &Columns,
) -> Result<Vec<&'a File>> {
    // what it cannot judge, it lets through
    let built = PruningPredicateBuilder::new()
        .with_file_schema(Arc::clone(&columns.all))
        .try_build(Arc::clone(filter));
    let Ok(predicate) = built else {
        return Ok(files);
    };
    let verdicts = predicate.prune(&Known(&files))?;
    Ok(files
        .into_iter()
        .zip(verdicts)
        .filter_map(|(file, is_in)| is_in.then_some(file))
        .collect())
}

/// What is known of a column of each file: its least or its greatest value.
fn known(files: &[&File], column: &str, is_greatest: bool) -> Option<ArrayRef> {
    let files = files.iter();
    Some(match column {
        "account_id" => Arc::new(StringViewArray::from_iter_values(
            files.map(|file| &*file.account),
        )),
        "region" => Arc::new(StringViewArray::from_iter_values(
            files.map(|file| &*file.region),
        )),
        "date" => Arc::new(Date32Array::from_iter_values(files.map(|file| file.date))),
        "eventTime" => {
            let times = files.map(|file| {
                let (first, last) = file.times?;
                Some(if is_greatest { last } else { first })
            });
            let times: TimestampMicrosecondArray = times.collect();
            Arc::new(times.with_timezone(ZONE))
        }
        _ => return None,
    })
}

/// What is known of files.
struct Known<'a>(&'a [&'a File]);

impl PruningStatistics for Known<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        known(self.0, &column.name, false)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        known(self.0, &column.name, true)
    }

    fn num_containers(&self) -> usize {
        self.0.len()
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        let has_none = column.name == "eventTime" || PARTITIONS.contains(&column.name.as_str());
        let none = || UInt64Array::from_iter_values(self.0.iter().map(|_| 0));
        has_none.then(|| Arc::new(none()) as ArrayRef)
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        let rows = self.0.iter().map(|file| file.rows);
        Some(Arc::new(rows.collect::<UInt64Array>()))
    }

    fn contained(&self, _: &Column, _: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}
