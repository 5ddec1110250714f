//! What a process tells of itself, heard by real listeners: a collector of traces, and whoever asks for
//! health, metrics and the documentation over HTTP.

mod collector;
mod logs;
mod served;
mod traces;
mod working;
