import Glibc
import KVBase

/// Where node keys are read from.
///
/// A source holds 32 raw bytes, or keys of 64 hexadecimal digits, one a line: the first is the
/// current key, the others are for files that still need them.
public enum KeySource: Hashable, Sendable {
  /// A file that only its owner may read.
  case file(String)
  /// The standard output of a command, given as program and arguments.
  case command([String])

  private static let byteLimit = 64 << 10

  /// Reads the keys; `accessDenied` for a file that others may read, else `keyUnavailable` when there
  /// are none.
  public func load() throws(StorageError) -> KeyRing {
    switch self {
    case .file(let path): try KeySource.parse(KeySource.contents(ofFile: path), path)
    case .command(let arguments):
      try KeySource.parse(
        KeySource.output(of: arguments), "the output of \(arguments.first ?? "a command")")
    }
  }

  /// The keys in the text or bytes of a source.
  static func parse(_ bytes: Bytes, _ place: String) throws(StorageError) -> KeyRing {
    if bytes.count == NodeKey.byteCount { return KeyRing(current: try NodeKey(bytes)) }
    var keys: [NodeKey] = []
    for line in bytes.split(whereSeparator: { $0 == 0x0A || $0 == 0x0D }) {
      guard let key = decodeHex(line), keys.count < KeyRing.keyLimit else {
        // The message must not show what may be most of a key.
        throw StorageError(
          .keyUnavailable,
          "expected 32 bytes, or up to \(KeyRing.keyLimit) lines of 64 hexadecimal digits",
          path: place)
      }
      keys.append(try NodeKey(key))
    }
    guard let current = keys.first else {
      throw StorageError(.keyUnavailable, "there is no key", path: place)
    }
    return KeyRing(current: current, older: keys)
  }

  private static func decodeHex(_ line: ArraySlice<UInt8>) -> Bytes? {
    guard line.count == 2 * NodeKey.byteCount else { return nil }
    let digits = line.compactMap { Character(Unicode.Scalar($0)).hexDigitValue }
    guard digits.count == line.count else { return nil }
    return stride(from: 0, to: digits.count, by: 2).map {
      UInt8(digits[$0] << 4 | digits[$0 + 1])
    }
  }

  // MARK: Reading

  private static func contents(ofFile path: String) throws(StorageError) -> Bytes {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
      throw StorageError(.keyUnavailable, String(cString: strerror(errno)), path: path)
    }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT != S_IFDIR else {
      throw StorageError(.keyUnavailable, "not a file", path: path)
    }
    guard status.st_mode & 0o077 == 0 else {
      throw StorageError(
        .accessDenied, "others than its owner may use the key file: its mode must be 0600 or 0400",
        path: path)
    }
    return try readAll(descriptor, path)
  }

  private static func readAll(
    _ descriptor: Int32, _ place: String
  ) throws(StorageError) -> Bytes {
    var bytes = Bytes(repeating: 0, count: byteLimit + 1)
    var count = 0
    while count < bytes.count {
      let done = bytes.withUnsafeMutableBytes {
        read(descriptor, $0.baseAddress?.advanced(by: count), $0.count - count)
      }
      if done == 0 { break }
      if done > 0 {
        count += done
      } else if errno != EINTR {
        throw StorageError(.keyUnavailable, String(cString: strerror(errno)), path: place)
      }
    }
    guard count <= byteLimit else {
      throw StorageError(.keyUnavailable, "more than \(byteLimit) bytes are no keys", path: place)
    }
    bytes.removeLast(bytes.count - count)
    return bytes
  }

  private static func output(of arguments: [String]) throws(StorageError) -> Bytes {
    guard let program = arguments.first else {
      throw StorageError(.keyUnavailable, "the command for the key is empty")
    }
    var ends: [Int32] = [0, 0]
    guard pipe(&ends) == 0 else {
      throw StorageError(.keyUnavailable, String(cString: strerror(errno)), path: program)
    }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    let started = start(arguments, output: ends[1])
    close(ends[1])
    defer { close(ends[0]) }
    let process = try started.get()
    let result = Result { () throws(StorageError) in try readAll(ends[0], program) }
    var status: Int32 = 0
    while waitpid(process, &status, 0) < 0, errno == EINTR {}
    guard status == 0 else {
      throw StorageError(
        .keyUnavailable, "the command for the key failed (status \(status))", path: program)
    }
    return try result.get()
  }

  private static func start(
    _ arguments: [String], output: Int32
  ) -> Result<pid_t, StorageError> {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO)
    var strings = arguments.map { strdup($0) } + [nil]
    defer { for string in strings { free(string) } }
    var process = pid_t()
    let status = posix_spawnp(&process, arguments[0], &actions, nil, &strings, environ)
    guard status == 0 else {
      return .failure(
        StorageError(
          .keyUnavailable, String(cString: strerror(status)), path: arguments[0]))
    }
    return .success(process)
  }
}
