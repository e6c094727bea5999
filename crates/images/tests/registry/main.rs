//! Conversations with Debian's `docker-registry`, and with what goes wrong on the way to it. Each test has a registry of its own, in a network
//! namespace of its own if it may make one.

mod auth;
mod faults;
mod fixture;
mod plain;
mod proxy;
mod room;
mod secure;
mod token_server;
