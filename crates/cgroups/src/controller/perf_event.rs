//! perf(1) by group: the `perf_event` controller. It has neither limits nor statistics; being a member is all.
