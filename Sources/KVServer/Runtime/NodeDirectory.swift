import KVProtocol
import KVBase
import KVCluster
import KVStorage
import Synchronization

/// The files of a node beside its stores: the lock, the identity, and the mark of a clean stop.
///
/// ```
/// data_dir/LOCK            held while a process uses the directory
/// data_dir/node.toml       the settings fixed at creation
/// data_dir/clean-shutdown  there only between a stop in order and the next start
/// data_dir/shard-N/        a store each
/// ```
///
/// **Concurrency**: any thread.
final class NodeDirectory: Sendable {
  /// What is fixed when the directory is created.
  struct Identity: Hashable, Sendable {
    var name: String
    var shardCount: Int
    var ringSize: Int
    var shardLayout = ShardLayout.spread
  }

  /// By the layout of the shards: what format 1 does not tell is ``ShardLayout/modulo``.
  private static let identityVersions: [Int: ShardLayout] = [1: .modulo, 2: .spread]
  private static let identityFile = "node.toml"
  private static let cleanFile = "clean-shutdown"

  let path: String
  let identity: Identity
  /// Whether the last process stopped in order.
  let startedCleanly: Bool
  private let fileSystem: PosixFileSystem
  // Nil once released.
  private let lock: Mutex<(any FileLock)?>

  private init(
    path: String, identity: Identity, startedCleanly: Bool, fileSystem: PosixFileSystem,
    lock: any FileLock
  ) {
    self.path = path
    self.identity = identity
    self.startedCleanly = startedCleanly
    self.fileSystem = fileSystem
    self.lock = Mutex(lock)
  }

  /// Opens or creates the directory and removes the mark of a clean stop, durably, so that a crash
  /// from here on is seen as one.
  static func open(
    _ configuration: ServerConfiguration, processorCount: Int
  ) throws(ServerError) -> NodeDirectory {
    let path = configuration.dataDirectory
    let files = PosixFileSystem()
    do {
      try files.createDirectory(path)
      let lock = try files.lock("\(path)/LOCK")
      let identity = try identity(configuration, processorCount, files)
      let clean = "\(path)/\(cleanFile)"
      let startedCleanly = try files.exists(clean)
      if startedCleanly {
        try files.remove(clean)
        try files.syncDirectory(path)
      }
      for shard in 0..<identity.shardCount { try files.createDirectory("\(path)/shard-\(shard)") }
      return NodeDirectory(
        path: path, identity: identity, startedCleanly: startedCleanly, fileSystem: files,
        lock: lock)
    } catch let error as StorageError where error.code == .locked {
      throw ServerError(.locked, "another process uses this data directory", context: path)
    } catch let error as ServerError {
      throw error
    } catch {
      throw ServerError(.file, "\(error)", context: path)
    }
  }

  /// The directory of a shard's store.
  func storePath(of shard: ShardIndex) -> String { "\(path)/shard-\(shard.index)" }

  /// Lets another process, or another node of this one, use the directory.
  func release() { lock.withLock { $0 = nil } }

  /// Leaves the mark of a clean stop; the last thing a node writes.
  func markCleanShutdown() throws(ServerError) {
    do {
      try Self.write("stopped in order\n", to: Self.cleanFile, in: path, fileSystem)
    } catch {
      throw ServerError(.file, error.description, context: path)
    }
  }

  // MARK: Identity

  private static func identity(
    _ configuration: ServerConfiguration, _ processorCount: Int, _ files: PosixFileSystem
  ) throws -> Identity {
    let path = "\(configuration.dataDirectory)/\(identityFile)"
    if try files.exists(path) {
      let found = try read(try files.readAll(path), path)
      try compare(found, configuration)
      return found
    }
    let identity = Identity(
      name: configuration.nodeName,
      shardCount: configuration.shardCount == 0
        ? max(1, min(processorCount, 64)) : configuration.shardCount,
      ringSize: configuration.ringSize)
    let text = """
      # Fixed when this data directory was created. Written by the node; do not edit.
      format = \(identity.shardLayout.rawValue)
      name = \(JSONValue.quoted(identity.name))
      shards = \(identity.shardCount)
      ring_size = \(identity.ringSize)

      """
    try write(text, to: identityFile, in: configuration.dataDirectory, files)
    return identity
  }

  private static func read(_ bytes: Bytes, _ path: String) throws(ServerError) -> Identity {
    let entries: [TOMLEntry]
    do {
      entries = try TOMLReader.parse(bytes)
    } catch {
      throw ServerError(.file, error.message, context: "\(path):\(error.line)")
    }
    let values = Dictionary(entries.map { ($0.key, $0.value) }) { $1 }
    guard case .integer(let format)? = values["format"], let layout = identityVersions[format],
      case .string(let name)? = values["name"],
      case .integer(let shards)? = values["shards"], case .integer(let ring)? = values["ring_size"],
      (1...64).contains(shards), Ring.sizes.contains(ring)
    else {
      throw ServerError(
        .file, "expected format = 1 or 2, name, shards and ring_size", context: path)
    }
    return Identity(name: name, shardCount: shards, ringSize: ring, shardLayout: layout)
  }

  private static func compare(
    _ found: Identity, _ wanted: ServerConfiguration
  ) throws(ServerError) {
    var differences: [String] = []
    if found.name != wanted.nodeName {
      differences.append("node.name is \"\(wanted.nodeName)\" but was \"\(found.name)\"")
    }
    if wanted.shardCount != 0, found.shardCount != wanted.shardCount {
      differences.append("node.shards is \(wanted.shardCount) but was \(found.shardCount)")
    }
    if found.ringSize != wanted.ringSize {
      differences.append("node.ring_size is \(wanted.ringSize) but was \(found.ringSize)")
    }
    guard differences.isEmpty else {
      throw ServerError(
        .identityMismatch,
        differences.joined(separator: "; ") + " when the data directory was created",
        context: wanted.dataDirectory)
    }
  }

  /// Replaces a small file atomically and durably.
  private static func write(
    _ text: String, to name: String, in directory: String, _ files: PosixFileSystem
  ) throws(StorageError) {
    let temporary = "\(directory)/\(name).tmp"
    let file = try files.create(temporary)
    let bytes = Bytes(text.utf8)
    try bytes.withUnsafeBufferPointer { (buffer) throws(StorageError) in
      try file.write(UnsafeRawBufferPointer(buffer), at: 0)
    }
    try file.sync()
    try files.rename(temporary, to: "\(directory)/\(name)")
    try files.syncDirectory(directory)
  }
}
