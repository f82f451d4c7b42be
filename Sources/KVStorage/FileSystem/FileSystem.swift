/// The files and directories the engine works on.
///
/// The engine and everything above it reach a disk only through this protocol, so the same code runs
/// on ``PosixFileSystem`` and, in tests and in the simulator, on ``CrashableFileSystem``.
///
/// Durability: bytes written to a file survive a crash after ``WritableFile/sync()``; a name created,
/// renamed or removed survives after ``syncDirectory(_:)`` of its directory. Before that, each may be
/// lost or kept in part.
///
/// **Concurrency**: every method may be called from any thread.
public protocol FileSystem: Sendable {
  /// Creates the directory and its missing parents, durably; no error when it exists.
  func createDirectory(_ path: String) throws(StorageError)

  /// Opens an existing file for reading.
  func open(_ path: String) throws(StorageError) -> any ReadableFile

  /// Creates an empty file, in place of any that has the name, for writing.
  func create(_ path: String) throws(StorageError) -> any WritableFile

  /// Removes a file; `notFound` when there is none.
  func remove(_ path: String) throws(StorageError)

  /// Renames a file within its directory, replacing any that has the new name, atomically.
  func rename(_ path: String, to newPath: String) throws(StorageError)

  /// Gives a file one more name, in any directory; `inputOutput` when the new name is taken,
  /// `cannotLink` when the file cannot have a name there.
  ///
  /// The new name is durable after ``syncDirectory(_:)`` of its directory.
  func link(_ path: String, to newPath: String) throws(StorageError)

  /// The names (not paths) of the files in a directory, in ascending order.
  func list(_ directory: String) throws(StorageError) -> [String]

  /// True when the file exists.
  func exists(_ path: String) throws(StorageError) -> Bool

  /// The file's size in bytes; `notFound` when there is none.
  func size(_ path: String) throws(StorageError) -> Int

  /// Makes the names in the directory durable.
  func syncDirectory(_ path: String) throws(StorageError)

  /// Takes an exclusive lock named by a file, created if need be; `locked` when another holds it.
  ///
  /// The lock lasts until the result is released.
  func lock(_ path: String) throws(StorageError) -> any FileLock

  /// The wall clock in seconds since 1970, for the expiry of values; it may jump.
  var secondsSinceEpoch: UInt64 { get }
}

/// A file system that can also change the bytes of a file that exists, as a change of keys must.
public protocol UpdatableFileSystem: FileSystem {
  /// Opens an existing file for writing and leaves its contents alone.
  func openForUpdate(_ path: String) throws(StorageError) -> any WritableFile
}

/// A file opened for reading at any offset.
public protocol ReadableFile: AnyObject, Sendable {
  /// Its size when it was opened.
  var size: Int { get }

  /// Reads until the buffer is full or the file ends; returns the number of bytes read.
  func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(StorageError) -> Int
}

/// A file being written, which closes when the object is released.
public protocol WritableFile: AnyObject, Sendable {
  /// Writes all bytes at the offset, extending the file; after an error any part may be written.
  func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(StorageError)

  /// Cuts the file; until the next ``sync()`` a crash may bring back what was cut.
  func truncate(to byteCount: Int) throws(StorageError)

  /// Extends the file with zeros, so that a later sync of what is written over them need not commit
  /// new metadata.
  ///
  /// The range begins at or after the end of what was written.
  func preallocate(_ range: Range<Int>) throws(StorageError)

  /// Makes everything written so far durable (`fdatasync`).
  ///
  /// After an error the bytes not yet durable may be lost although a later call succeeds, so the
  /// file must not be trusted any more.
  func sync() throws(StorageError)
}

/// An exclusive lock, held until the object is released.
public protocol FileLock: AnyObject, Sendable {}
