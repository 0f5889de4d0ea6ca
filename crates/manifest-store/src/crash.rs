//! What a store is after the power failed: writers in every order, a crash at every call, every state in which the
//! disk may then be.
//!
//! The real logic of the store runs over a [`disk`] in memory that knows what would survive. Each writer is a thread
//! with a store of its own; each call that it makes to its files stops it at a [`gate`] until it is its turn, so that
//! an interleaving is a list of choices and can be had again. [`explore`] makes the choices: all of them, merging those
//! that lead to the same state of the whole system, or as many as there is time for. Wherever the power may fail,
//! [`image`] lists the disks that may be found, and [`promise`] opens a store on each and compares it with what a
//! [`world`] without crashes says: every acknowledged change is there, every other one is there or not, everything can
//! be read, and the next changes work.
//!
//! [`broken`] shows that the checker can fail, and [`faults`] makes single calls fail instead of the power.

mod broken;
mod disk;
mod explore;
mod faults;
mod files;
mod gate;
mod image;
mod locks;
mod promise;
mod scenario;
mod tests;
mod world;
mod writer;
