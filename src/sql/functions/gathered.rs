//! `array_agg`, held to its query's memory: the engine counts a view into a text as the
//! view alone, however long the text is. Texts that are not views it counts whole.

use std::sync::Arc;

use datafusion::{
    arrow::datatypes::{DataType, FieldRef},
    common::Result,
    functions_aggregate::array_agg::ArrayAgg,
    logical_expr::{
        Accumulator, AggregateUDF, AggregateUDFImpl, GroupsAccumulator, ReversedUDAF, Signature,
        Volatility,
        function::{AccumulatorArgs, StateFieldsArgs},
        utils::AggregateOrderSensitivity,
    },
    physical_expr::{PhysicalSortExpr, expressions::CastExpr},
};

use crate::sql::answer::plain;

/// See the module.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Gathered {
    signature: Signature,
    of: AggregateUDF,
}

impl Default for Gathered {
    fn default() -> Self {
        Self {
            signature: Signature::user_defined(Volatility::Immutable),
            of: AggregateUDF::from(ArrayAgg::default()),
        }
    }
}

impl AggregateUDFImpl for Gathered {
    fn name(&self) -> &str {
        self.of.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(types.iter().map(plain).collect())
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.of.return_type(types)
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        self.of.state_fields(args)
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        // of DISTINCT the order has to be by what is gathered, and that alone was cast
        if args.is_distinct
            && let ([gathered], [by]) = (args.exprs, args.order_bys)
            && let Some(cast) = gathered.downcast_ref::<CastExpr>()
            && **cast.expr() == *by.expr
        {
            let order_bys = [PhysicalSortExpr::new(Arc::clone(gathered), by.options)];
            return self.of.accumulator(AccumulatorArgs {
                order_bys: &order_bys,
                ..args
            });
        }
        self.of.accumulator(args)
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        self.of.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        self.of.create_groups_accumulator(args)
    }

    fn with_beneficial_ordering(
        self: Arc<Self>,
        is_ordered: bool,
    ) -> Result<Option<Arc<dyn AggregateUDFImpl>>> {
        let of = self.of.clone().with_beneficial_ordering(is_ordered)?;
        Ok(of.map(|of| {
            let ordered: Arc<dyn AggregateUDFImpl> = Arc::new(Self {
                signature: self.signature.clone(),
                of,
            });
            ordered
        }))
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        self.of.order_sensitivity()
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Reversed(Arc::new(AggregateUDF::from(Self::default())))
    }

    fn supports_null_handling_clause(&self) -> bool {
        self.of.supports_null_handling_clause()
    }
}
