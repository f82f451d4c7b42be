import ArgumentParser
import KVStorage

/// The command `store backup`.
struct StoreBackup: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "backup",
    abstract: "Copy stores to a new directory, by hard links where the file system allows it.",
    discussion: """
      With --after, files that an earlier backup already has are linked from there, so that only
      what is new is copied to another file system.

      EXAMPLE
        ring-admin store backup /var/lib/spinekv /backup/monday --after /backup/sunday
      """)
  @Argument(help: ArgumentHelp("A data or store directory.", valueName: "dir"))
  var directory: String
  @Argument(help: ArgumentHelp("The backup: a new or empty directory.", valueName: "target"))
  var target: String
  @Option(help: ArgumentHelp("An earlier backup of the same.", valueName: "dir"))
  var after: String?
  @OptionGroup var options: StoreCommandOptions

  func run() throws {
    try options.copy(from: directory, to: target) { store, target in
      let previous = after.map { "\($0)\(store.suffix)" }
      return try store.inspector().backup(to: target, after: previous)
    }
  }
}

/// The command `store restore`.
struct StoreRestore: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "restore",
    abstract: "Verify a backup and make new stores from it.",
    discussion: """
      A node that is started on them renews the identities of its vnodes. What was written after the
      backup comes back from the other replicas, if there are any.

      EXAMPLE
        ring-admin store restore /backup/monday /var/lib/spinekv
      """)
  @Argument(help: ArgumentHelp("A backup of a data directory or of a store.", valueName: "backup"))
  var backup: String
  @Argument(help: ArgumentHelp("A new or empty directory.", valueName: "target"))
  var target: String
  @OptionGroup var options: StoreCommandOptions

  func run() throws {
    try options.copy(from: backup, to: target) { store, target in
      try Store.restore(from: store.path, to: target, fileSystem: store.fileSystem)
    }
  }
}

extension StoreCommandOptions {
  /// The file of a data directory that a node needs beside its stores.
  private static let identityFile = "node.toml"

  /// Copies all stores of a directory into one that is new or empty, and shows what was done.
  fileprivate func copy(
    from directory: String, to target: String,
    _ body: (ClosedStore, String) throws -> BackupReport
  ) throws {
    let files = PosixFileSystem()
    try translated {
      guard try !files.exists(target) || files.list(target).isEmpty else {
        throw CommandFailure.refused("\(target) already holds something; name a new directory.")
      }
    }
    let outcomes = try forEachStore(in: directory) { store in
      let target = "\(target)\(store.suffix)"
      return CopyDocument(store: store.path, target: target, report: try body(store, target))
    }
    let identity = "\(directory)/\(Self.identityFile)"
    try translated {
      guard try files.exists(identity) else { return }
      try files.replaceFile(
        "\(target)/\(Self.identityFile)", contents: try files.readAll(identity))
    }
    try show(outcomes) { $0.map(\.text).joined() }
  }
}
