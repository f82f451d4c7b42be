import Foundation
import KVCluster
import Testing

@testable import KVServer

@Suite struct ConfigurationTests {
  private func problems(_ text: String) -> [String] {
    var loader = ConfigurationLoader()
    loader.apply(file: Array(text.utf8), name: "spinekv.toml")
    if loader.problems.isEmpty { loader.checkTogether() }
    return loader.problems.map(\.description)
  }

  @Test func `the default file gives exactly the defaults`() throws {
    var loader = ConfigurationLoader()
    loader.apply(file: Array(DefaultFile.text.utf8), name: "defaults")
    loader.checkTogether()
    #expect(try loader.result() == ServerConfiguration())
  }

  @Test func `the committed default file is the one the program prints`() throws {
    let path = URL(filePath: #filePath).deletingLastPathComponent()
      .appending(path: "../../Docs/spinekv.toml")
    let committed = try String(contentsOf: path, encoding: .utf8)
    #expect(
      committed == DefaultFile.text,
      "renew it: swift run spinekvd config defaults > Docs/spinekv.toml")
  }

  @Test func `every setting has its own name and environment variable`() {
    #expect(Set(Setting.all.map(\.key)).count == Setting.all.count)
    #expect(Set(Setting.all.map(\.environmentName)).count == Setting.all.count)
    for setting in Setting.all {
      #expect(setting.documentation.hasSuffix("."), "\(setting.key)")
    }
  }

  @Test(arguments: [
    ("[node]\nnmae = \"x\"", "spinekv.toml:2: unknown setting node.nmae; did you mean node.name?"),
    ("\n[zzzzz]\nq = 1", "spinekv.toml:3: unknown setting zzzzz.q"),
    ("[node]\nshards = \"3\"", "spinekv.toml:2: node.shards is \"3\": expected an integer from 0"),
    ("[node]\nshards = 65", "spinekv.toml:2: node.shards is 65: expected an integer from 0 to 64"),
    ("[node]\nring_size = 65", "spinekv.toml:2: node.ring_size is 65: expected one of 8, 16"),
    ("[node]\nname = \"\"", "spinekv.toml:2: node.name is \"\": expected a string that is not"),
    ("[log]\nlevel = \"loud\"", "spinekv.toml:2: log.level is \"loud\": expected one of \"debug\""),
    (
      "[storage]\nsync = \"yes\"", "spinekv.toml:2: storage.sync is \"yes\": expected true or false"
    ),
    (
      "[storage]\nencryption_key_file = \"k\"\nencryption_key_command = \"c\"",
      "storage.encryption_key_command: stands beside storage.encryption_key_file"
    ),
    ("[request]\ntimeout = 60", "spinekv.toml:2: request.timeout is 60: expected a duration"),
    (
      "[request]\ntimeout = \"60\"",
      "spinekv.toml:2: request.timeout is \"60\": expected a duration"
    ),
    (
      "[object]\nsize_limit = \"5MX\"",
      "spinekv.toml:2: object.size_limit is \"5MX\": expected a size"
    ),
    ("[listen]\nhttp = \"8098\"", "spinekv.toml:2: listen.http is \"8098\": expected an address"),
    ("[listen]\nhttp = \"h:70000\"", "spinekv.toml:2: listen.http is \"h:70000\": expected an"),
    ("[listen]\nhttp = \"127.0.0.1:8087\"", "listen.http: has the same port as listen.client"),
    (
      "[object]\nsize_limit = \"100MiB\"",
      "object.size_limit: is 104857600 bytes: expected at least"
    ),
    ("node = ", "spinekv.toml:1: expected a value after \"=\""),
  ])
  func `a wrong setting is refused with its place and what was expected`(
    text: String, message: String
  ) {
    let found = problems(text)
    #expect(found.count == 1)
    #expect(found.first?.hasPrefix(message) == true, "\(found)")
  }

  @Test func `all problems are reported at once`() {
    let found = problems("[node]\nshards = true\nring_size = 3\n[log]\nformat = 7\n")
    #expect(found.count == 3)
  }

  @Test func `flags override the environment, which overrides the file`() throws {
    var loader = ConfigurationLoader()
    let file = "[node]\nname = \"file\"\nshards = 1\n[log]\nlevel = \"debug\"\n"
    loader.apply(file: Array(file.utf8), name: "f")
    loader.apply(environment: ["SPINEKV_NODE_NAME": "environment", "SPINEKV_NODE_SHARDS": "2"])
    loader.apply(assignment: "node.name=flag")
    let result = try loader.result()
    #expect(result.nodeName == "flag")
    #expect(result.shardCount == 2)
    #expect(result.logLevel == "debug")
  }

  @Test func `an environment variable that surely means a setting is checked`() {
    var loader = ConfigurationLoader()
    loader.apply(environment: ["SPINEKV_NODE_NAM": "x", "SPINEKV_ONLY": "y", "PATH": "z"])
    #expect(
      loader.problems.map(\.description) == [
        "environment variable SPINEKV_NODE_NAM: unknown setting; did you mean SPINEKV_NODE_NAME?"
      ])
  }

  @Test func `sizes, durations and addresses are read in their usual forms`() {
    #expect(SettingKind.byteCount("16KiB") == 16 << 10)
    #expect(SettingKind.byteCount("5MB") == 5_000_000)
    #expect(SettingKind.byteCount("9999999999999GiB") == nil)
    #expect(SettingKind.duration("1h") == .seconds(3600))
    #expect(SettingKind.duration("250ms") == .milliseconds(250))
    #expect(SettingKind.duration("-1s") == nil)
    #expect(SettingKind.endpoint("[::1]:80") == Endpoint(host: "::1", port: 80))
    #expect(SettingKind.endpoint("::1:80") == nil)
    #expect(SettingKind.endpoint("host:0") == Endpoint(host: "host", port: 0))
  }

  @Test func `a wildcard address is advertised with the host of the node's name`() {
    var configuration = ServerConfiguration()
    configuration.nodeName = "spinekv7@10.1.2.3"
    configuration.peerEndpoint = Endpoint(host: "0.0.0.0", port: 9)
    #expect(configuration.publicPeerEndpoint == Endpoint(host: "10.1.2.3", port: 9))
  }

  @Test func `random bytes never crash the way in`() {
    var generator = SystemRandomNumberGenerator()
    let alphabet = Array("[]=\"'#\\.{}\n\r\t _-09azAZ".utf8) + [0, 0x7F, 0xFF, 0xC3, 0xA9]
    for _ in 0..<5_000 {
      let bytes = (0..<Int.random(in: 0...60, using: &generator)).map { _ in
        alphabet.randomElement(using: &generator) ?? 0
      }
      _ = ConfigurationFuzz.parse(bytes: bytes)
    }
  }
}
