import KVBase
import KVStorage

/// A legal setting that nobody would choose: it makes code run that otherwise hardly ever does.
///
/// Half of the runs turn some of them on. They act through the options that the product has anyway,
/// so no product code knows of the simulator.
///
/// **Source**: FoundationDB's `BUGGIFY` and its randomised knobs.
public enum RarePath: String, CaseIterable, Sendable {
  /// Memtables of a few writes: flushes and compactions all the time.
  case tinyMemtables
  /// A journal buffer of a few bytes: every append writes.
  case tinyBuffers
  /// Tables, blocks and segments of a few entries each.
  case tinyFiles
  /// Every value stays in the journal, and collection of its garbage never ends.
  case separateValues
  /// Opening may have to replay no more than a few writes.
  case shortReplay
  /// Background work of the stores whenever there is any.
  case eagerBackground
  /// Background work so rarely that appending stalls for it.
  case lazyBackground
  /// Replicas answer with heads only, and bodies are fetched.
  case headsOnly
  /// Requests have hardly the time for one round trip.
  case shortRequests
  /// The failure detector suspects whoever is late by a few milliseconds.
  case hastyDetector
  /// Ring and metadata are compared every 5 seconds only.
  case rareGossip
  /// Handoffs begin at once, one at a time.
  case eagerHandoff
  /// A shard takes two requests at a time.
  case fewRequests
  /// An object may have three siblings.
  case fewSiblings

  /// Draws the rare paths of a run.
  static func draw(_ random: inout SeededRandom) -> [RarePath] {
    guard random.chance(0.5) else { return [] }
    return allCases.filter { _ in random.chance(0.2) }
  }

  func apply(to settings: inout RunSettings) {
    switch self {
    case .tinyMemtables: settings.store.memtableByteLimit = 400
    case .tinyBuffers: settings.store.journalBufferByteLimit = 16
    case .tinyFiles:
      settings.store.blockByteCount = 64
      settings.store.tableByteLimit = 256
      settings.store.levelBaseByteLimit = 1 << 10
      settings.store.indexPartByteCount = 64
      settings.store.segmentByteLimit = 512
      settings.store.manifestByteLimit = 256
    case .separateValues: settings.store.separationByteCount = 1
    case .shortReplay: settings.store.replayByteLimit = 600
    case .eagerBackground: settings.backgroundInterval = 10_000_000
    case .lazyBackground: settings.backgroundInterval = 20_000_000_000
    case .headsOnly: settings.shard.inlineByteLimit = 1
    case .shortRequests: settings.shard.requestTimeout = .milliseconds(120)
    case .hastyDetector:
      // A little more than a calm network needs, or the cluster would never settle.
      let roundTrip = 2 * settings.network.maximumDelay + 10_000_000
      settings.shard.probeTimeout = .nanoseconds(Int64(roundTrip))
    case .rareGossip: settings.shard.gossipInterval = .seconds(5)
    case .eagerHandoff:
      settings.shard.handoffInterval = .milliseconds(40)
      settings.shard.handoffLimit = 1
    case .fewRequests: settings.shard.requestLimit = 2
    case .fewSiblings: settings.shard.siblingLimit = 3
    }
  }
}
