import KVStorage
import Logging

/// The files of a node's stores: the machine's, encrypted when the configuration names keys.
enum StoreFiles {
  /// Reads the keys and gives every file in the stores' directories the current one.
  static func open(
    _ configuration: ServerConfiguration, stores: [String], _ logger: Logger
  ) throws(ServerError) -> any FileSystem {
    guard let source = source(configuration) else { return PosixFileSystem() }
    do throws(StorageError) {
      let files = EncryptedFileSystem(PosixFileSystem(), keys: try source.load())
      var rewrappedCount = 0
      // Before the stores open: afterwards nothing needs an older key but backups.
      for path in stores { rewrappedCount += try files.rewrapKeys(in: path).rewrappedCount }
      logger.info(
        "stores are encrypted",
        metadata: ["key": "\(files.keys.current.id)", "rewrapped": "\(rewrappedCount)"])
      return files
    } catch {
      throw ServerError(.store, error.description, context: "storage.encryption_key")
    }
  }

  private static func source(_ configuration: ServerConfiguration) -> KeySource? {
    if !configuration.encryptionKeyFile.isEmpty { return .file(configuration.encryptionKeyFile) }
    if !configuration.encryptionKeyCommand.isEmpty {
      return .command(["/bin/sh", "-c", configuration.encryptionKeyCommand])
    }
    return nil
  }
}
