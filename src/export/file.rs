//! The file of an export. One that was cut short goes on after its last cursor: the lines after that may lack a gap.

use std::{
    fs::{File, TryLockError},
    io::{BufRead as _, BufReader, BufWriter, Read as _, Seek as _, SeekFrom, Write},
    path::{Path, PathBuf},
};

use serde_json::value::RawValue;

use super::{
    ExportError, MAX_LINE_BYTES,
    line::{Complete, ExportHeader, ExportLine, ExportMark, ExportedCursor, ExportedEnd, mark},
};
use crate::event::EventId;

/// An export that is being written.
#[derive(Debug)]
pub struct ExportFile<W: Write> {
    out: BufWriter<W>,
    path: PathBuf,
    events: u64,
}

/// What a file has of an export.
#[derive(Debug)]
pub struct BegunExport {
    /// Its first line.
    pub header: ExportHeader,
    /// Its last cursor.
    pub cursor: Option<EventId>,
    /// Events before that.
    events: u64,
    /// Where the line of the cursor ends, or the first one, in bytes.
    end: u64,
    file: File,
}

/// Opens the file at `path`, and finds out what it has of an export; `None` when it is new or empty. It is locked while the
/// result exists. Reads all of it. Blocks.
///
/// # Errors
/// When it cannot be used, has something else than an export, or a complete one.
pub fn open(path: &Path) -> Result<(File, Option<BegunExport>), ExportError> {
    let io = |error| ExportError::io(path)(error);
    let file = File::options().read(true).write(true).create(true).truncate(false).open(path).map_err(io)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(ExportError::InUse(path.into())),
        Err(TryLockError::Error(error)) => return Err(io(error)),
    }
    let mut reader = BufReader::new(file.try_clone().map_err(io)?);
    let (mut line, mut at, mut events) = (Vec::new(), 0, 0);
    let mut begun: Option<BegunExport> = None;
    loop {
        line.clear();
        let length = (&mut reader).take(MAX_LINE_BYTES as u64).read_until(b'\n', &mut line).map_err(io)? as u64;
        at += length;
        let is_whole = line.last() == Some(&b'\n');
        match (&mut begun, serde_json::from_slice(&line)) {
            (None, _) if length == 0 => return Ok((file, None)),
            (None, Ok(ExportLine::Mark(ExportMark::Export(header)))) if is_whole => {
                let file = file.try_clone().map_err(io)?;
                begun = Some(BegunExport { header, cursor: None, events: 0, end: at, file });
            }
            // The first line was cut short: nothing was exported.
            (None, Err(error)) if !is_whole && error.is_eof() && line.starts_with(b"{\"export\":") => {
                (&file).rewind().and_then(|()| file.set_len(0)).map_err(io)?;
                return Ok((file, None));
            }
            (Some(_), Ok(ExportLine::Mark(ExportMark::Complete(_)))) if is_whole => {
                return Err(ExportError::Complete(path.into()));
            }
            (Some(_), Ok(ExportLine::Event(_))) if is_whole => events += 1,
            (Some(begun), Ok(ExportLine::Mark(ExportMark::Cursor(cursor))))
                if is_whole && let Some(id) = EventId::parse(&cursor.id) =>
            {
                (begun.cursor, begun.events, begun.end) = (Some(id), events, at);
            }
            (Some(_), Ok(_)) if is_whole => {}
            (Some(_), _) if !is_whole => return Ok((file, begun)),
            _ => return Err(ExportError::NotAnExport),
        }
    }
}

impl ExportFile<File> {
    /// Goes on with an export: what follows its last cursor is cut off.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn go_on(path: &Path, begun: BegunExport) -> Result<Self, ExportError> {
        let BegunExport { mut file, end, events, .. } = begun;
        file.set_len(end).and_then(|()| file.seek(SeekFrom::Start(end))).map_err(ExportError::io(path))?;
        Ok(Self { out: BufWriter::new(file), path: path.into(), events })
    }

    /// Makes the file durable.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn sync(&mut self) -> Result<(), ExportError> {
        self.flush()?;
        self.out.get_ref().sync_all().map_err(ExportError::io(&self.path))
    }
}

impl<W: Write> ExportFile<W> {
    /// Begins an export. `path` is named in errors.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn begin(out: W, path: &Path, header: &ExportHeader) -> Result<Self, ExportError> {
        let mut this = Self { out: BufWriter::new(out), path: path.into(), events: 0 };
        this.line(&mark("export", header))?;
        Ok(this)
    }

    /// Writes a gap, as the hub reports it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn gap(&mut self, gap: &RawValue) -> Result<(), ExportError> {
        self.line(&mark("gap", gap))
    }

    /// Writes an envelope, as the hub sends it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn event(&mut self, envelope: &RawValue) -> Result<(), ExportError> {
        self.events += 1;
        self.line(envelope.get())
    }

    /// Says that the file is whole up to here, and passes it to the system.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn cursor(&mut self, id: EventId) -> Result<(), ExportError> {
        self.line(&mark("cursor", &ExportedCursor { id: id.to_string().into() }))?;
        self.flush()
    }

    /// Says that a topic is closed.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn end(&mut self, topic: &str, last_id: &str) -> Result<(), ExportError> {
        self.line(&mark("end", &ExportedEnd { topic: topic.into(), reason: "closed".into(), last_id: last_id.into() }))
    }

    /// Writes the last line. Returns how many events the file has.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn complete(&mut self) -> Result<u64, ExportError> {
        self.line(&mark("complete", &Complete { events: self.events }))?;
        self.flush()?;
        Ok(self.events)
    }

    fn flush(&mut self) -> Result<(), ExportError> {
        self.out.flush().map_err(ExportError::io(&self.path))
    }

    fn line(&mut self, text: &str) -> Result<(), ExportError> {
        self.out
            .write_all(text.as_bytes())
            .and_then(|()| self.out.write_all(b"\n"))
            .map_err(ExportError::io(&self.path))
    }
}
