/// The way of a configuration file into the node, for the fuzzer: it must never crash, whatever the
/// bytes, and never accept a setting without a value that fits.
package enum ConfigurationFuzz {
  /// Reads the bytes as a file and returns the problems found; empty when it was accepted.
  package static func parse(bytes: [UInt8]) -> [ConfigurationProblem] {
    var loader = ConfigurationLoader()
    loader.apply(file: bytes, name: "fuzz")
    loader.checkTogether()
    return loader.problems
  }
}
