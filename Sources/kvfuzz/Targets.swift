import KVBase
import KVProtocol
import KVServer
import KVStorage

/// Code that takes bytes from outside, and good examples of such bytes.
protocol FuzzTarget {
  var name: String { get }
  var samples: [Bytes] { get }
  /// Takes the bytes; an answer that must not be stops the process.
  ///
  /// - Returns: true when the bytes were accepted as good.
  func run(_ bytes: Bytes) -> Bool
}

/// The readers of tables, journals and manifests.
struct StorageTarget: FuzzTarget {
  let name = "storage"
  let samples = StorageFuzz.samples().map(\.bytes)

  func run(_ bytes: Bytes) -> Bool {
    StorageFuzz.fuzzReaders(bytes: bytes)
    return true
  }
}

/// The configuration file.
struct ConfigurationTarget: FuzzTarget {
  let name = "config"
  let samples: [Bytes] =
    [DefaultFile.text]
    .map { Bytes($0.utf8) }
    + [
      "[node]\nname = \"a@b\"\nshards = 2\nring_size = 64\n",
      "[listen]\nclient = \"127.0.0.1:8087\" # text\n\n[log]\nlevel = \"info\"\n",
      "node.name = 'x'\nrequest.timeout = \"60s\"\nstorage.sync = false\n",
      "[storage]\nmemtable_size = \"64 MiB\"\nblock_cache_size = 1_000_000\n",
      "a = [1, 2, { b = \"\\u00e9\" }]\nc = 1979-05-27T07:32:00Z\nd = 0x1F\ne = -1.5e3\n",
    ].map { Bytes($0.utf8) }

  func run(_ bytes: Bytes) -> Bool { ConfigurationFuzz.parse(bytes: bytes).isEmpty }
}
