//! Processor time used, on v1: the `cpuacct` controller. It has no limits; on v2 `cpu.stat` tells the same.
