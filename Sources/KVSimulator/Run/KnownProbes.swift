/// The names of all probes, so that a report can tell which were never hit.
public enum KnownProbes {
  /// The names, sorted; a test compares them with the sources.
  public static let names: [String] = []
}
