//! Counting what is sent to the table.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextRef;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;

/// How many requests of each operation left this process, repetitions by the SDK included.
///
/// Clones count together.
#[derive(Clone, Debug, Default)]
pub struct TableCounts {
    by_operation: Arc<Mutex<BTreeMap<String, u64>>>,
}

impl TableCounts {
    /// Returns the counts by operation name, such as `UpdateItem`.
    pub fn by_operation(&self) -> BTreeMap<String, u64> {
        self.by_operation
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Returns the count of one operation.
    pub fn of(&self, operation: &str) -> u64 {
        self.by_operation().get(operation).copied().unwrap_or(0)
    }

    /// Returns the count of all requests.
    pub fn total(&self) -> u64 {
        self.by_operation().values().sum()
    }

    /// Starts again at zero.
    pub fn reset(&self) {
        self.by_operation
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    fn count(&self, operation: &str) {
        let mut counts = self.by_operation.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(operation.to_owned()).or_default() += 1;
    }
}

impl Intercept for TableCounts {
    fn name(&self) -> &'static str {
        "TableCounts"
    }

    // This hook runs once per attempt, so what the SDK repeats is counted as the network sees it.
    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let target = context
            .request()
            .headers()
            .get("x-amz-target")
            .unwrap_or("unknown");
        self.count(target.rsplit('.').next().unwrap_or(target));
        Ok(())
    }
}
