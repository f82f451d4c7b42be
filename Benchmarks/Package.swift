// swift-tools-version: 6.2
import PackageDescription

// A package of its own, so that RocksDB never becomes a dependency of those who use SpineKV.
let strict: [SwiftSetting] = [
  .treatAllWarnings(as: .error),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("InternalImportsByDefault"),
]

let package = Package(
  name: "spinekv-benchmarks",
  dependencies: [
    .package(name: "spinekv", path: ".."),
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
  ],
  targets: [
    .systemLibrary(name: "CRocksDB", providers: [.apt(["librocksdb-dev"])]),
    .target(name: "CAllocationCounter", exclude: ["process_counter.c"]),
    .executableTarget(
      name: "spinekv-bench",
      dependencies: [
        "CRocksDB", "CAllocationCounter",
        .product(name: "KVProtocol", package: "spinekv"),
        .product(name: "KVStorage", package: "spinekv"),
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: strict),
  ],
  swiftLanguageModes: [.v6]
)
