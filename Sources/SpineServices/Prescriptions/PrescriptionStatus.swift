/// The status of one issue of a prescription; raw values are the published codes.
public enum IssueStatus: String, Codable, Hashable, Sendable, CaseIterable {
  case awaitingRelease = "0000"
  case toBeDispensed = "0001"
  case withDispenser = "0002"
  case withDispenserActive = "0003"
  case expired = "0004"
  case cancelled = "0005"
  case dispensed = "0006"
  case notDispensed = "0007"
  case claimed = "0008"
  case noClaimed = "0009"
  /// A later issue of a repeat-dispensing prescription; internal.
  case futureIssue = "9000"
  /// Its start lies ahead; internal.
  case futureDated = "9001"
  /// Cancelled before it arrived; internal.
  case pendingCancellation = "9005"

  /// True when a cancellation takes effect at once.
  public var isCancellable: Bool {
    switch self {
    case .awaitingRelease, .toBeDispensed, .futureIssue, .futureDated: true
    default: false
    }
  }

  /// True while a dispenser holds it.
  public var isWithDispenser: Bool { self == .withDispenser || self == .withDispenserActive }

  /// True when nothing more happens to it but claim and deletion.
  public var isCompleted: Bool {
    switch self {
    case .expired, .cancelled, .dispensed, .notDispensed, .claimed, .noClaimed: true
    default: false
    }
  }

  /// The line statuses that may stand beside this one; checked after every change.
  ///
  /// **Source**: eps-spine-shared, the validation run on each update.
  public var allowedLines: Set<LineStatus> {
    switch self {
    case .awaitingRelease, .toBeDispensed, .futureIssue, .futureDated:
      [.cancelled, .expired, .toBeDispensed]
    case .withDispenser: [.cancelled, .expired, .withDispenser]
    case .withDispenserActive:
      [.dispensed, .notDispensed, .partial, .owing, .cancelled, .expired, .withDispenser]
    case .expired, .cancelled: [.cancelled, .expired]
    case .dispensed, .claimed, .noClaimed: [.dispensed, .notDispensed, .cancelled, .expired]
    case .notDispensed: [.notDispensed, .cancelled, .expired]
    case .pendingCancellation: []
    }
  }

  /// The published display name.
  public var displayName: String {
    switch self {
    case .awaitingRelease: "Awaiting Release Ready"
    case .toBeDispensed: "To Be Dispensed"
    case .withDispenser: "With Dispenser"
    case .withDispenserActive: "With Dispenser - Active"
    case .expired: "Expired"
    case .cancelled: "Cancelled"
    case .dispensed: "Dispensed"
    case .notDispensed: "Not Dispensed"
    case .claimed: "Claimed"
    case .noClaimed: "No-Claimed"
    case .futureIssue: "Repeat Dispense future instance"
    case .futureDated: "Prescription future instance"
    case .pendingCancellation: "Cancelled future instance"
    }
  }
}

/// The status of one line item; raw values are the published codes.
public enum LineStatus: String, Codable, Hashable, Sendable, CaseIterable {
  case dispensed = "0001"
  case notDispensed = "0002"
  case partial = "0003"
  case owing = "0004"
  case cancelled = "0005"
  case expired = "0006"
  case toBeDispensed = "0007"
  case withDispenser = "0008"

  /// True while something is still to be done for the item.
  public var isActive: Bool {
    switch self {
    case .toBeDispensed, .withDispenser, .partial, .owing: true
    case .dispensed, .notDispensed, .cancelled, .expired: false
    }
  }

  /// The statuses a dispense notification may move this one to.
  ///
  /// The published code takes this table from its caller and the caller is not public; these are
  /// the moves that keep ``IssueStatus/allowedLines`` true.
  public var dispenseTargets: Set<LineStatus> {
    switch self {
    case .withDispenser: [.dispensed, .notDispensed, .partial, .owing, .withDispenser]
    case .partial: [.dispensed, .partial]
    case .owing: [.dispensed, .notDispensed, .partial, .owing]
    case .dispensed, .notDispensed, .cancelled, .expired: [self]
    case .toBeDispensed: []
    }
  }

  /// What an item becomes when its issue expires.
  var whenExpired: LineStatus {
    switch self {
    case .toBeDispensed, .withDispenser: .expired
    case .partial: .dispensed
    case .owing: .notDispensed
    default: self
    }
  }

  /// The published display name.
  public var displayName: String {
    switch self {
    case .dispensed: "Item fully dispensed"
    case .notDispensed: "Item not dispensed"
    case .partial: "Item dispensed - partial"
    case .owing: "Item not dispensed - owing"
    case .cancelled: "Item cancelled"
    case .expired: "Expired"
    case .toBeDispensed: "To Be Dispensed"
    case .withDispenser: "Item with dispenser"
    }
  }
}
