import ArgumentParser
import Foundation
import KVServer
import KVStorage

/// How the files of stores are read, and how the answer is printed.
struct StoreCommandOptions: ParsableArguments {
  @Option(help: "text, or json for programs.")
  var format = OutputFormat.text

  @Option(
    help: ArgumentHelp("The file with the keys of encrypted stores.", valueName: "file"))
  var keyFile: String?

  @Option(
    help: ArgumentHelp("A command that prints the keys of encrypted stores.", valueName: "command"))
  var keyCommand: String?

  func validate() throws {
    guard keyFile == nil || keyCommand == nil else {
      throw ValidationError("--key-file and --key-command exclude each other.")
    }
  }

  /// The machine's files, decrypted if there is a key.
  func fileSystem() throws -> any FileSystem {
    let files = PosixFileSystem()
    let source =
      keyFile.map { KeySource.file($0) }
      ?? keyCommand.map { KeySource.command(["/bin/sh", "-c", $0]) }
    guard let source else { return files }
    return try translated { EncryptedFileSystem(files, keys: try source.load()) }
  }

  func isDirectory(_ path: String) throws -> Bool {
    do throws(StorageError) {
      _ = try PosixFileSystem().list(path)
      return true
    } catch {
      guard error.code == .notFound, try translated({ try PosixFileSystem().exists(path) }) else {
        throw CommandFailure.refused(error.description)
      }
      return false
    }
  }

  /// Calls `body` with the store in a directory, or with each of those in a node's data directory.
  func forEachStore<Outcome>(
    in directory: String, _ body: (ClosedStore) throws -> Outcome
  ) throws -> [Outcome] {
    try translated {
      let files = try fileSystem()
      let root =
        directory.count > 1 && directory.hasSuffix("/")
        ? String(directory.dropLast()) : directory
      return try ClosedStore.find(in: root, files).map(body)
    }
  }

  /// Prints the documents as JSON or as the text made of them.
  func show<Document: Encodable>(_ documents: [Document], _ text: ([Document]) -> String) throws {
    switch format {
    case .text: print(text(documents), terminator: "")
    case .json:
      print(String(decoding: try AdminDocument.encoder.encode(documents), as: UTF8.self))
    }
  }
}

/// The directory of a store that no node has open.
struct ClosedStore {
  let path: String
  /// What leads from the directory that was named to the store: empty, or `/shard-N`.
  let suffix: String
  let fileSystem: any FileSystem

  static func find(in root: String, _ files: any FileSystem) throws -> [ClosedStore] {
    if try StoreInspector.isStore(root, files) {
      return [ClosedStore(path: root, suffix: "", fileSystem: files)]
    }
    let shards = try files.list(root)
      .compactMap { name in name.hasPrefix("shard-") ? Int(name.dropFirst(6)) : nil }.sorted()
      .map { ClosedStore(path: "\(root)/shard-\($0)", suffix: "/shard-\($0)", fileSystem: files) }
      .filter { try StoreInspector.isStore($0.path, files) }
    guard !shards.isEmpty else {
      throw CommandFailure.refused("\(root) is neither a store nor a node's data directory.")
    }
    return shards
  }

  func inspector() throws(StorageError) -> StoreInspector {
    try StoreInspector(at: path, fileSystem: fileSystem)
  }

  /// Opens the store, compacts it and closes it; progress goes to standard error.
  func compact() throws {
    var options = StoreOptions()
    options.spaceAmplificationLimit = 1.05
    let store = try Store.open(at: path, fileSystem: fileSystem, options: options)
    var last = ContinuousClock.now
    try store.compact { progress in
      guard last.duration(to: .now) > .seconds(1) else { return }
      last = .now
      let text =
        progress.stage == .collecting
        ? "collecting, \(progress.statistics.collectionWrittenByteCount >> 20) MiB moved"
        : "compacting, \(progress.remainingByteCount >> 20) MiB to go"
      FileHandle.standardError.write(Data("\(path): \(text)\n".utf8))
    }
    try store.close()
  }
}

/// What the body returns; an error of the engine becomes one of this program.
func translated<Outcome>(_ body: () throws -> Outcome) throws -> Outcome {
  do {
    return try body()
  } catch let error as StorageError {
    throw CommandFailure.refused(error.description)
  }
}
