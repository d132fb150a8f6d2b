//! The table of all metrics: name, kind, labels and meaning of each. The registry, `docs/reference/metrics.md`
//! and the test of the output use it.

/// The kind of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, from the start of the program.
    Counter,
    /// It is the present value.
    Gauge,
    /// It counts durations in seconds.
    Histogram,
}

/// A metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Its name, as queries use it. A counter ends in `_total`.
    pub name: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it measures, a sentence without its full stop.
    pub help: &'static str,
}

macro_rules! table {
    ($($id:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $id: Metric =
                Metric { name: $name, kind: Kind::$kind, labels: &[$($label),*], help: $help };
        )*
        /// All metrics, in the order of the documentation.
        pub const ALL: &[Metric] = &[$($id),*];
    };
}

table! {
    BUILD_INFO = Gauge "eosfed_build_info" ["version"] "Always 1; the label is the version of the program";
    INSTITUTIONS = Gauge "eosfed_institutions" ["state"] "Institutions by state: invited, active, expired (its certificate) or revoked";
    LAST_SEEN = Gauge "eosfed_institution_last_seen_timestamp_seconds" ["institution"] "When an active institution last called since the start of the coordinator; 0 if it has not; at most 500 institutions, by name";
    CERTIFICATE_EXPIRY = Gauge "eosfed_certificate_expiry_seconds" ["role", "member"] "Seconds until the certificate of an active member expires; negative after that; at most 500 members, those that expire first";
    AUTHORITY_EXPIRY = Gauge "eosfed_authority_expiry_seconds" [] "Seconds until the certificate authority ends";
    JOBS = Gauge "eosfed_jobs" ["kind", "state"] "Jobs by kind and state";
    ROUND_INSTITUTIONS = Gauge "eosfed_round_institutions" ["job", "state"] "Institutions asked in the open round of a job, by state (offered and working have not finished; submitted counts); at most 100 jobs, oldest first";
    ROUND_NEEDED = Gauge "eosfed_round_needed" ["job"] "Results that the open round of a job needs at least; the same jobs";
    ROUND_DEADLINE = Gauge "eosfed_round_deadline_seconds" ["job"] "Seconds until the deadline of the open round of a job; the same jobs";
    SPECIALISTS = Gauge "eosfed_specialists" [] "Versions of specialists in the registry";
    RELEASES = Gauge "eosfed_releases" [] "Ensemble releases";
    QUARANTINED = Gauge "eosfed_quarantined_records" [] "Records that are quarantined because they cannot be read back";
    EVENTS = Counter "eosfed_ledger_events_total" ["kind"] "Events of the ledger by kind, since the start";
    UPDATES = Counter "eosfed_updates_total" ["outcome", "reason"] "Updates by outcome: admitted, rejected (with the reason of the refusal), or excluded by aggregation";
    ENCODINGS = Counter "eosfed_update_encodings_total" ["encoding"] "Admitted updates by their encoding";
    DECLINED = Counter "eosfed_assignments_declined_total" ["reason"] "Assignments that institutions have declined, by reason";
    CALLS = Counter "eosfed_calls_total" ["method", "code"] "gRPC calls that have ended, by method and status code";
    CALL_SECONDS = Histogram "eosfed_call_duration_seconds" ["method"] "Time from the arrival of a call to the end of its answer; watches last as long as somebody looks";
    REFUSALS = Counter "eosfed_refusals_total" ["reason"] "Calls that were refused, by reason";
    RECEIVED_BYTES = Counter "eosfed_received_bytes_total" ["kind"] "Bytes of messages from members by kind: weights, metrics, control";
    SENT_BYTES = Counter "eosfed_sent_bytes_total" ["kind"] "Bytes of answers by kind: weights (downloads) or control";
    CONNECTIONS = Gauge "eosfed_connections" ["caller"] "Open connections of members and of callers without a certificate";
    CONNECTIONS_REFUSED = Counter "eosfed_connections_refused_total" ["limit"] "Connections that were closed because of a limit: of a member, of callers without a certificate, or of handshakes from one address";
    HANDSHAKES_FAILED = Counter "eosfed_handshakes_failed_total" [] "TLS handshakes that failed, took too long or gave way to newer ones";
    STORE_BYTES = Gauge "eosfed_store_bytes" [] "Size of the store's files; looked up every 30 s";
    BLOBS_BYTES = Gauge "eosfed_blobs_bytes" [] "Size of all blobs and uploads; looked up every 30 s";
    BLOBS = Gauge "eosfed_blobs" [] "Number of the blobs' files; looked up every 30 s";
    KEPT_BYTES = Gauge "eosfed_closed_rounds_bytes" [] "Bytes of updates and starting weights that closed rounds keep and nothing else needs: what `keep_updates_mb` bounds; looked up every 30 s";
    DISK_FREE = Gauge "eosfed_disk_free_bytes" [] "Bytes that are free on the disk of the state folder";
    WRITE_LOCK_WAIT = Histogram "eosfed_write_lock_wait_seconds" [] "Time that a change waits for the write lock";
    COMMIT = Histogram "eosfed_commit_seconds" [] "Time that the store takes for a transaction";
    AGGREGATION = Histogram "eosfed_aggregation_seconds" [] "Time that an aggregation takes";
    ENGINE_PROGRESS = Gauge "eosfed_engine_progress_timestamp_seconds" [] "When the engine last let a change in; it does so at least every 30 s while it works";
    HTTP_CONNECTIONS_REFUSED = Counter "eosfed_http_connections_refused_total" [] "Connections of this listener that were closed at once because there were too many";
    NOTIFICATIONS = Counter "eosfed_notifications_total" ["receiver", "outcome"] "Notifications by receiver (a `[[notify]]` of the settings, at most 16) and outcome: delivered, failed (given up) or dropped (too many were waiting)";
    NOTIFICATIONS_WAITING = Gauge "eosfed_notifications_waiting" ["receiver"] "Notifications that wait for a receiver or are being sent to it, at most 501 each";
    PROCESS_CPU = Counter "process_cpu_seconds_total" [] "Processor time of the process";
    PROCESS_MEMORY = Gauge "process_resident_memory_bytes" [] "Resident memory of the process";
    PROCESS_OPEN_FILES = Gauge "process_open_fds" [] "Files and connections that the process has open";
    PROCESS_MAX_FILES = Gauge "process_max_fds" [] "Files and connections that the process may have open";
    PROCESS_START = Gauge "process_start_time_seconds" [] "When the coordinator has started, in seconds since 1970";
}
