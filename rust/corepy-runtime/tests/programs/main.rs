//! Lane programs: text, checks, and what they compute.

mod backends;
mod lanes;
mod launch;
mod run;
mod semantics;
mod text;
mod tile;
mod verify;
