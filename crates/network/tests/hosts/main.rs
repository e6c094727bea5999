//! Networks with real packets, on hosts made of network namespaces: what packets can do and cannot, what is left behind, and what several
//! processes do at once.

mod lab;
mod life;
mod packets;
