//! What the operating system says of this process, by the names that Prometheus's own
//! clients give it.

use std::fmt;

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};

use super::out::{Out, count};

/// Read at each scrape; nothing but on Linux.
#[derive(Debug)]
pub(super) struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Out(&mut encoder);
        let Some(process) = Sample::read() else {
            return Ok(());
        };
        out.counter(
            "process_cpu_seconds",
            "processor time, of user and system",
            process.cpu_seconds,
        )?;
        out.gauge(
            "process_resident_memory_bytes",
            "memory that is resident",
            count(process.resident),
        )?;
        out.gauge(
            "process_virtual_memory_bytes",
            "memory that is addressed",
            count(process.addressed),
        )?;
        out.gauge(
            "process_start_time_seconds",
            "when the process began, in Unix time",
            process.start,
        )?;
        if let Some(open) = process.open_fds {
            out.gauge(
                "process_open_fds",
                "file descriptors that are open",
                count(open),
            )?;
        }
        if let Some(most) = process.max_fds {
            out.gauge(
                "process_max_fds",
                "file descriptors that may be open",
                count(most),
            )?;
        }
        Ok(())
    }
}

struct Sample {
    cpu_seconds: f64,
    resident: u64,
    addressed: u64,
    start: f64,
    open_fds: Option<u64>,
    max_fds: Option<u64>,
}

impl Sample {
    #[cfg(target_os = "linux")]
    fn read() -> Option<Self> {
        use procfs::{WithCurrentSystemInfo, process::LimitValue};

        let me = procfs::process::Process::myself().ok()?;
        let stat = me.stat().ok()?;
        let ticks = count(procfs::ticks_per_second());
        let boot = procfs::boot_time_secs().ok()?;
        let limits = me.limits().ok();
        Some(Self {
            cpu_seconds: count(stat.utime.saturating_add(stat.stime)) / ticks,
            resident: stat.rss_bytes().get(),
            addressed: stat.vsize,
            start: count(boot) + count(stat.starttime) / ticks,
            open_fds: me.fd_count().ok().and_then(|open| u64::try_from(open).ok()),
            max_fds: limits.and_then(|limits| match limits.max_open_files.soft_limit {
                LimitValue::Value(most) => Some(most),
                LimitValue::Unlimited => None,
            }),
        })
    }

    #[cfg(not(target_os = "linux"))]
    fn read() -> Option<Self> {
        None
    }
}
