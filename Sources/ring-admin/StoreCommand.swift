import ArgumentParser
import KVBase
import KVStorage

/// `ring-admin store …`: looks into the stores of a node that does not run.
struct StoreCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "store",
    abstract: "Verify, inspect, compact, back up and restore the stores of a stopped node.",
    discussion: """
      DIR is a node's data directory, for all its stores in turn, or the directory of one store
      (shard-N) or of a backup. A store that is in use is refused.

      EXAMPLES
        ring-admin store verify /var/lib/spinekv
        ring-admin store stats /var/lib/spinekv/shard-0 --format json
        ring-admin store backup /var/lib/spinekv /backup/monday --after /backup/sunday
      """,
    subcommands: [
      StoreVerify.self, StoreDump.self, StoreStats.self, StoreCompact.self, StoreBackup.self,
      StoreRestore.self,
    ])
}

/// The command `store verify`.
struct StoreVerify: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify",
    abstract: "Read everything and report all that is damaged; exit code 1 if anything is.",
    discussion: """
      EXAMPLE
        ring-admin store verify /var/lib/spinekv --format json
      """)
  @Argument(help: ArgumentHelp("A data, store or backup directory.", valueName: "dir"))
  var directory: String
  @OptionGroup var options: StoreCommandOptions

  func run() throws {
    let outcomes = try options.forEachStore(in: directory) { store in
      VerifyDocument(store.path, try store.inspector().verify())
    }
    try options.show(outcomes) { $0.map(\.text).joined() }
    let damageCount = outcomes.reduce(0) { $0 + $1.damageCount }
    guard damageCount == 0 else {
      throw CommandFailure.refused("Damage was found: \(damageCount) problems.")
    }
  }
}

/// The command `store stats`.
struct StoreStats: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "stats",
    abstract: "Count what is in levels, segments and partitions.",
    discussion: """
      EXAMPLE
        ring-admin store stats /var/lib/spinekv/shard-0
      """)
  @Argument(help: ArgumentHelp("A data, store or backup directory.", valueName: "dir"))
  var directory: String
  @OptionGroup var options: StoreCommandOptions

  func run() throws {
    let outcomes = try options.forEachStore(in: directory) { store in
      StatsDocument(store: store.path, figures: try store.inspector().figures())
    }
    try options.show(outcomes) { $0.map(\.text).joined(separator: "\n") }
  }
}

/// The command `store compact`.
struct StoreCompact: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "compact",
    abstract: "Merge all tables and give back the space of deleted and replaced values.",
    discussion: """
      Needs free space for about a second copy of the tables. Progress goes to standard error.

      EXAMPLE
        ring-admin store compact /var/lib/spinekv
      """)
  @Argument(help: ArgumentHelp("A data or store directory.", valueName: "dir"))
  var directory: String
  @OptionGroup var options: StoreCommandOptions

  func run() throws {
    let outcomes = try options.forEachStore(in: directory) { store in
      let before = try store.inspector().figures().fileBytes
      try store.compact()
      let after = try store.inspector().figures().fileBytes
      return CompactDocument(store: store.path, bytesBefore: before, bytesAfter: after)
    }
    try options.show(outcomes) { $0.map(\.text).joined() }
  }
}

/// The command `store dump`.
struct StoreDump: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "dump",
    abstract: "Print the entries of a range of keys, or the contents of one file.",
    discussion: """
      Keys are printed, and expected, with \\xNN for bytes that are not printable ASCII and \\\\ for a
      backslash. With --format json every line is a document.

      EXAMPLES
        ring-admin store dump /var/lib/spinekv/shard-0 --from '\\x00\\x07' --to '\\x00\\x08'
        ring-admin store dump /var/lib/spinekv/shard-0/ledger/000012.sst
        ring-admin store dump /var/lib/spinekv/shard-0/ledger/MANIFEST-000010 --format json
      """)
  @Argument(help: ArgumentHelp("A data, store or backup directory, or a file.", valueName: "dir"))
  var place: String
  @Option(help: ArgumentHelp("The first key.", valueName: "key")) var from = ""
  @Option(help: ArgumentHelp("The key to stop before.", valueName: "key")) var to: String?
  @Option(help: ArgumentHelp("The most lines to print of a store.", valueName: "count"))
  var limit = Int.max
  @OptionGroup var options: StoreCommandOptions

  func run() throws {
    let format = options.format
    @Sendable func show(_ record: InspectionRecord) {
      print(format == .json ? record.json : record.text)
    }
    guard try options.isDirectory(place) else {
      let files = try options.fileSystem()
      return try translated { try StoreInspector.dumpFile(place, fileSystem: files, show) }
    }
    let lower = try key(from)
    let upper = try to.map(key)
    _ = try options.forEachStore(in: place) { store in
      var count = 0
      guard limit > 0 else { return }
      try store.inspector().dumpEntries(from: lower, to: upper) { record in
        show(record)
        count += 1
        return count < limit
      }
    }
  }

  private func key(_ text: String) throws -> Bytes {
    guard let bytes = unescapedBytes(text) else {
      throw CommandFailure(
        message: "'\(text)' has a backslash that is not \\\\ or \\xNN.", exitCode: 2)
    }
    return bytes
  }
}
