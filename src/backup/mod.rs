//! Floor 1: the files of a backup, and the stream by which a hub sends one. What the records say is the store's business
//! ([`crate::engine`]); here they are bytes.
//!
//! ```text
//! DIR/gapless-backup                 "gapless backup\nformat 1\n"
//! DIR/lock                           locked while a backup is written here
//! DIR/unfinished                     the parts of one that is not complete                            (journal.rs)
//! DIR/parts/<SHA-256>.part           a part, named by its content: shared by all backups that have it
//! DIR/backups/<time>-<id>.json       a backup: its parts, and a checksum                              (manifest.rs)
//! ```
//!
//! The file `gapless-backup` is locked by who reads backups, shared, and by who removes some, alone.
//!
//! A file is written under a name that ends in `.half`, synced, read again, and renamed; the backup's own file comes last.
//! So a backup is there as a whole or not at all, and one that is cut short leaves those before it as they were.
//!
//! An archive is a tar, compressed with zstd, of the same files: the backup's own first, then its parts in order.
//!
//! | module | idea |
//! |---|---|
//! | [`frame`] | the frames of a stream and of a part |
//! | [`manifest`] | the list of a backup's parts |
//! | [`directory`] | a directory of backups: making, opening, locking |
//! | [`listing`] | which backups it has, and which one is meant |
//! | [`removal`] | removes old ones, and parts that none has |
//! | [`receive`] | writes what a hub sends into a directory |
//! | [`known`] | the parts that need not be sent |
//! | [`part_download`] | a part that is being received |
//! | [`part_checker`] | makes parts durable and checks them, beside the receiving |
//! | [`journal`] | the parts of an unfinished backup |
//! | [`part_file`] | reads one part, and compares it with the list |
//! | [`archive`] | one backup in one file |
//! | [`source`] | a backup to be read, from a directory or an archive |
//! | [`visitor`] | who takes a backup that is read |
//! | [`error`] | what can go wrong |

pub mod archive;
pub mod directory;
pub mod error;
pub mod frame;
pub mod journal;
pub mod known;
pub mod listing;
pub mod manifest;
pub mod part_checker;
pub mod part_download;
pub mod part_file;
pub mod receive;
pub mod removal;
pub mod source;
pub mod visitor;

pub use error::BackupError;
