// swift-tools-version: 6.2
import PackageDescription

let strict: [SwiftSetting] = [
  .treatAllWarnings(as: .error),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("InternalImportsByDefault"),
]

func nio(_ name: String) -> Target.Dependency { .product(name: name, package: "swift-nio") }

/// A library target of the layered core; the dependencies listed are the only arrows allowed.
func module(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
  .target(name: name, dependencies: dependencies, swiftSettings: strict)
}

func executable(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .executableTarget(name: name, dependencies: dependencies, swiftSettings: strict)
}

func tests(
  _ name: String, _ dependencies: [Target.Dependency], exclude: [String] = []
) -> Target {
  .testTarget(name: name, dependencies: dependencies, exclude: exclude, swiftSettings: strict)
}

let argumentParser: Target.Dependency =
  .product(name: "ArgumentParser", package: "swift-argument-parser")

var targets: [Target] = [
  .systemLibrary(name: "CCRC32C"),
  .systemLibrary(name: "CMalloc"),
  .systemLibrary(
    name: "CLZ4", pkgConfig: "liblz4", providers: [.apt(["liblz4-dev"])]),
  .systemLibrary(
    name: "CCrypto", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),

  module("KVBase", ["CCRC32C"]),
  module("KVModel", ["KVBase"]),
  .target(
    name: "KVProtocol",
    dependencies: [
      "KVBase", "KVModel", .product(name: "SwiftProtobuf", package: "swift-protobuf"),
    ],
    exclude: ["Proto"], swiftSettings: strict),
  module("KVStorage", ["KVBase", "CLZ4", "CCrypto"]),
  module("KVCluster", ["KVBase", "KVModel"]),
  module("KVNode", ["KVBase", "KVModel", "KVCluster", "KVStorage"]),
  module("KVTransport", ["KVBase", nio("NIOCore"), nio("NIOPosix")]),
  module(
    "KVServer",
    [
      "KVBase", "KVModel", "KVProtocol", "KVStorage", "KVCluster", "KVNode", "KVTransport",
      nio("NIOCore"), nio("NIOPosix"),
      .product(name: "Hummingbird", package: "hummingbird"),
      .product(name: "HummingbirdCore", package: "hummingbird"),
      .product(name: "Logging", package: "swift-log"),
    ]),
  module(
    "KVClient",
    [
      "KVBase", "KVModel", "KVProtocol", "KVTransport", nio("NIOCore"), nio("NIOPosix"),
      .product(name: "SwiftProtobuf", package: "swift-protobuf"),
    ]),
  module("SpineServices", ["KVBase", "KVClient", "KVModel", "CCrypto"]),
  module("KVSimulator", ["KVBase", "KVModel", "KVStorage", "KVCluster", "KVNode"]),

  executable("spinekvd", ["KVServer", "CMalloc", argumentParser]),
  executable("ring-admin", ["KVServer", "KVStorage", "KVBase", argumentParser]),
  executable("spine", ["SpineServices", "KVClient", "KVBase", argumentParser]),
  executable("kvsim", ["KVSimulator", "KVStorage", "KVBase", argumentParser]),
  executable("kvstress", ["KVStorage", "KVBase", argumentParser]),
  executable("kvtorture", ["KVClient", "KVModel", "KVBase", argumentParser]),
  executable(
    "kvfuzz",
    ["KVBase", "KVModel", "KVProtocol", "KVTransport", "KVStorage", "KVServer", argumentParser]),

  tests("KVBaseTests", ["KVBase"]),
  tests("KVModelTests", ["KVModel", "KVBase"]),
  tests(
    "KVProtocolTests",
    [
      "KVProtocol", "KVModel", "KVBase",
      .product(name: "SwiftProtobuf", package: "swift-protobuf"),
    ]),
  tests("KVStorageTests", ["KVStorage", "KVBase"]),
  tests("KVClusterTests", ["KVCluster", "KVModel", "KVBase"]),
  tests("KVNodeTests", ["KVNode", "KVCluster", "KVStorage", "KVModel", "KVBase"]),
  tests("KVTransportTests", ["KVTransport", "KVBase", nio("NIOCore"), nio("NIOPosix")]),
  tests(
    "KVServerTests",
    [
      "KVServer", "KVProtocol", "KVStorage", "KVCluster", "KVModel", "KVBase",
      .product(name: "Logging", package: "swift-log"),
    ]),
  tests(
    "KVClientTests",
    [
      "KVClient", "KVModel", "KVProtocol", "KVTransport", "KVBase", nio("NIOPosix"),
      .product(name: "SwiftProtobuf", package: "swift-protobuf"),
    ]),
  tests("SpineServicesTests", ["SpineServices", "KVClient", "KVModel", "KVBase"]),
  tests("SimulationTests", ["KVSimulator", "KVStorage", "KVModel", "KVBase"]),
  tests(
    "IntegrationTests",
    [
      "KVClient", "KVModel", "KVBase",
      .product(name: "SwiftProtobuf", package: "swift-protobuf"),
    ]),
  tests("KVFuzzTests", ["kvfuzz", "KVBase"]),
  tests("ConformanceTests", [], exclude: ["Python"]),
  tests("TidyTests", []),
]

var products: [Product] = [
  .library(name: "KVStorage", targets: ["KVStorage"]),
  .library(name: "KVNode", targets: ["KVNode"]),
  .library(name: "KVClient", targets: ["KVClient"]),
  .library(name: "KVProtocol", targets: ["KVProtocol"]),
  .library(name: "SpineServices", targets: ["SpineServices"]),
]

// `SPINEKV_ONLY=KVBase,KVStorage,KVStorageTests swift test` builds just those targets: work on the
// engine or on the state machines without compiling the network stack.
if let only = Context.environment["SPINEKV_ONLY"] {
  let names = Set(only.split(separator: ",").map(String.init))
  targets = targets.filter { names.contains($0.name) || $0.type == .system }
  products = []
}

let package = Package(
  name: "spinekv",
  products: products,
  dependencies: [
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
    .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
  ],
  targets: targets,
  swiftLanguageModes: [.v6]
)
