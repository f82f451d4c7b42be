/// The stored record of one prescription: the unit of update, and of truth, in the service.
///
/// The layout is the published one (its field names are kept), so that real records can be read.
///
/// **Invariants**: the record is what replaying `changeLog` in order gives
/// (``PrescriptionMachine/rebuild(from:)``); `scn` is one more than the number of changes; the line
/// statuses of an issue are among ``IssueStatus/allowedLines``.
///
/// **Source**: NHSDigital/eps-spine-shared, `common/prescription/record.py`.
public struct PrescriptionRecord: Codable, Hashable, Sendable {
  /// The order as a whole.
  public var prescription: PrescriptionHeader
  /// For whom.
  public var patient: PrescriptionPatient
  /// Where the patient wants it dispensed.
  public var nomination: Nomination
  /// The issues by number, from `"1"`; more than one only for repeat dispensing.
  public var instances: [String: PrescriptionInstance]
  /// The keys of the documents received, in order.
  public var documents: [String]
  /// Every change by the identifier of the message that caused it.
  public var changeLog: [String: ChangeEntry]
  /// The index terms, as the store keeps them.
  public var indexes: [String: [String]]
  /// The serial change number.
  public var scn: Int
  /// Changes acknowledged on one side of a fork that the merge had to refuse.
  public var rejectedEvents: [RejectedEvent]?

  enum CodingKeys: String, CodingKey {
    case prescription, patient, nomination, instances, documents, changeLog, indexes
    case scn = "SCN"
    case rejectedEvents
  }

  /// The issue being dispensed now.
  public var currentIssue: Int { Int(prescription.currentInstance) ?? 1 }

  /// The numbers of all issues, ascending.
  public var issueNumbers: [Int] { instances.keys.compactMap { Int($0) }.sorted() }

  /// The issue with a number; reading one that does not exist is a programmer error.
  subscript(issue number: Int) -> PrescriptionInstance {
    get {
      guard let instance = instances[String(number)] else {
        preconditionFailure("issue \(number) of \(prescription.prescriptionID) does not exist")
      }
      return instance
    }
    set { instances[String(number)] = newValue }
  }

  /// The status of the current issue.
  public var status: IssueStatus { self[issue: currentIssue].prescriptionStatus }

  /// The nominated dispenser who may download it now, or nil.
  public var waitingFor: String? {
    guard status == .toBeDispensed, nomination.nominated else { return nil }
    return nomination.nominatedPerformer
  }
}

/// The order: who prescribed what kind of prescription, and when.
public struct PrescriptionHeader: Codable, Hashable, Sendable {
  /// The identifier with its check character.
  public var prescriptionID: String
  @OrFalse public var prescriptionMsgRef: String?
  @OrFalse public var prescriptionType: String?
  /// `0001` acute, `0002` repeat prescribing, `0003` repeat dispensing.
  @OrFalse public var prescriptionTreatmentType: String?
  @OrFalse public var prescriptionTime: String?
  @OrFalse public var signedTime: String?
  @OrFalse public var prescribingOrganization: String?
  @OrFalse public var daysSupply: LooseInt?
  @OrFalse public var maxRepeats: LooseInt?
  /// The number of the current issue, as text.
  public var currentInstance: String
  @OrFalse public var pendingCancellations: [CancellationRequest]?
  @OrFalse public var unsuccessfulCancellations: [CancellationRequest]?
  /// False for the placeholder of a prescription cancelled before it came.
  public var prescriptionPresent: Bool

  /// True for repeat dispensing.
  public var isRepeatDispensing: Bool { prescriptionTreatmentType == "0003" }
}

/// What the record keeps of the patient.
public struct PrescriptionPatient: Codable, Hashable, Sendable {
  public var nhsNumber: String
  @OrFalse public var birthTime: String?
  /// The sixteenth birthday, which ends one exemption from charges.
  @OrFalse public var lowerAgeLimit: String?
  /// The sixtieth birthday, which begins another.
  @OrFalse public var higherAgeLimit: String?
  @OrFalse public var prefix: String?
  @OrFalse public var given: String?
  @OrFalse public var family: String?
}

/// The nominated dispenser, now and before.
public struct Nomination: Codable, Hashable, Sendable {
  public var nominated: Bool
  @OrFalse public var nominatedPerformer: String?
  @OrFalse public var nominatedPerformerType: String?
  public var nominationHistory: [String]
}

/// One issue: its status, its items and everything that happened to it.
public struct PrescriptionInstance: Codable, Hashable, Sendable {
  public var instanceNumber: String
  public var prescriptionStatus: IssueStatus
  @OrFalse public var previousStatus: IssueStatus?
  @OrFalse public var lastDispenseStatus: IssueStatus?
  public var lineItems: [LineItem]
  public var dispense: DispenseBlock
  public var claim: ClaimBlock
  public var cancellations: [CancellationRequest]
  public var dispenseHistory: [String: DispenseSnapshot]
  public var nextActivity: NextActivity
  @OrFalse public var dispenseWindowLowDate: String?
  @OrFalse public var dispenseWindowHighDate: String?
  @OrFalse public var expiryDate: String?
  @OrFalse public var completionDate: String?
  @OrFalse public var nominatedDownloadDate: String?
  @OrFalse public var releaseDate: String?
  @OrFalse public var releaseRequestMsgRef: String?
  @OrFalse public var previousIssueDate: String?

  /// Changes the status, remembering the one before.
  mutating func move(to status: IssueStatus) {
    previousStatus = prescriptionStatus
    prescriptionStatus = status
  }
}

/// One prescribed item.
public struct LineItem: Codable, Hashable, Sendable {
  public var id: String
  public var status: LineStatus
  @OrFalse public var previousStatus: LineStatus?
  public var order: Int
  @OrFalse public var maxRepeats: LooseInt?

  enum CodingKeys: String, CodingKey {
    case id = "ID"
    case status, previousStatus, order, maxRepeats
  }

  /// Changes the status, remembering the one before; the same status is no change.
  mutating func move(to status: LineStatus) {
    guard status != self.status else { return }
    previousStatus = self.status
    self.status = status
  }
}

/// Who dispenses an issue, and the last notification about it.
public struct DispenseBlock: Codable, Hashable, Sendable {
  @OrFalse public var dispensingOrganization: String?
  @OrFalse public var lastDispenseNotificationGuid: String?
  @OrFalse public var lastDispenseNotificationMsgRef: String?
  @OrFalse public var lastDispenseDate: String?

  init() {}
}

/// The claim for payment of an issue.
public struct ClaimBlock: Codable, Hashable, Sendable {
  @OrFalse public var claimGUID: String?
  @OrFalse public var claimReceivedDate: String?
  @OrFalse public var dispenseClaimMsgRef: String?

  init() {}
}

/// The issue as it was before a dispense notification, or at its release.
public struct DispenseSnapshot: Codable, Hashable, Sendable {
  @OrFalse public var dispense: DispenseBlock?
  @OrFalse public var prescriptionStatus: IssueStatus?
  @OrFalse public var lastDispenseStatus: IssueStatus?
  @OrFalse public var lineItems: [LineItem]?
  @OrFalse public var completionDate: String?
}

/// What a batch job has to do with an issue next, and from which day.
public struct NextActivity: Codable, Hashable, Sendable {
  @OrFalse public var activity: String?
  @OrFalse public var date: String?
}

/// One accepted change: who, when, from what to what, and the reply that was given.
///
/// Entries never change: a merge unites the logs of siblings.
public struct ChangeEntry: Codable, Hashable, Sendable {
  /// The serial change number the change was given.
  public var scn: Int
  public var timestamp: String
  public var internalID: String
  public var interactionID: String
  @OrFalse public var agentSystem: String?
  @OrFalse public var agentPerson: String?
  @OrFalse public var agentOrganisation: String?
  @OrFalse public var agentRole: String?
  @OrFalse public var timePrepared: String?
  @OrFalse public var fromStatus: String?
  @OrFalse public var toStatus: String?
  @OrFalse public var issue: String?
  /// The reply, given again when the message comes again.
  public var response: [String: String]
  /// What was asked; absent in records that came from elsewhere.
  public var event: PrescriptionEvent?

  enum CodingKeys: String, CodingKey {
    case scn = "SCN"
    case timestamp = "Timestamp"
    case internalID = "InternalID"
    case interactionID
    case agentSystem = "agentSystemSDS"
    case agentPerson
    case agentOrganisation = "agentPersonOrgCode"
    case agentRole = "agentRoleProfileCodeId"
    case timePrepared = "timePreparedForUpdate"
    case fromStatus, toStatus
    case issue = "instance"
    case response = "Response Parameters"
    case event
  }
}

/// A change that one side of a fork acknowledged and the merged history does not allow.
public struct RejectedEvent: Codable, Hashable, Sendable {
  /// The message.
  public var messageID: String
  /// Why it could not stand, or what its outcome is now.
  public var reason: String
  /// The organisation to be told.
  public var organisation: String
}
