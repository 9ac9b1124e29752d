//! The engine on one machine: one writer with group commit over a [`Store`].

pub mod store;

pub use store::Store;
