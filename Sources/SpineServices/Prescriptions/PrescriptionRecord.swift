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
  /// The document as signed.
  @OrFalse public var prescriptionMsgRef: String?
  /// Such as `0101`.
  @OrFalse public var prescriptionType: String?
  /// `0001` acute, `0002` repeat prescribing, `0003` repeat dispensing.
  @OrFalse public var prescriptionTreatmentType: String?
  /// From when it counts.
  @OrFalse public var prescriptionTime: String?
  /// When it was signed.
  @OrFalse public var signedTime: String?
  /// The prescriber's organisation.
  @OrFalse public var prescribingOrganization: String?
  /// Days that one issue lasts.
  @OrFalse public var daysSupply: LooseInt?
  /// How often it may be dispensed.
  @OrFalse public var maxRepeats: LooseInt?
  /// The number of the current issue, as text.
  public var currentInstance: String
  /// Cancellations that wait for the dispenser, or for the prescription.
  @OrFalse public var pendingCancellations: [CancellationRequest]?
  /// Cancellations that came second.
  @OrFalse public var unsuccessfulCancellations: [CancellationRequest]?
  /// False for the placeholder of a prescription cancelled before it came.
  public var prescriptionPresent: Bool

  /// True for repeat dispensing.
  public var isRepeatDispensing: Bool { prescriptionTreatmentType == "0003" }
}

/// What the record keeps of the patient.
public struct PrescriptionPatient: Codable, Hashable, Sendable {
  /// The patient's NHS number.
  public var nhsNumber: String
  /// The date of birth.
  @OrFalse public var birthTime: String?
  /// The sixteenth birthday, which ends one exemption from charges.
  @OrFalse public var lowerAgeLimit: String?
  /// The sixtieth birthday, which begins another.
  @OrFalse public var higherAgeLimit: String?
  /// The title.
  @OrFalse public var prefix: String?
  /// The given names.
  @OrFalse public var given: String?
  /// The family name.
  @OrFalse public var family: String?
}

/// The nominated dispenser, now and before.
public struct Nomination: Codable, Hashable, Sendable {
  /// Whether a dispenser is nominated.
  public var nominated: Bool
  /// The nominated dispenser.
  @OrFalse public var nominatedPerformer: String?
  /// `P1` pharmacy, `P2` appliances, `P3` dispensing doctor.
  @OrFalse public var nominatedPerformerType: String?
  /// Dispensers nominated before.
  public var nominationHistory: [String]
}

/// One issue: its status, its items and everything that happened to it.
public struct PrescriptionInstance: Codable, Hashable, Sendable {
  /// The number, as text.
  public var instanceNumber: String
  /// The status of the issue.
  public var prescriptionStatus: IssueStatus
  /// The status before.
  @OrFalse public var previousStatus: IssueStatus?
  /// The status the last notification gave it.
  @OrFalse public var lastDispenseStatus: IssueStatus?
  /// The items.
  public var lineItems: [LineItem]
  /// Who dispenses it.
  public var dispense: DispenseBlock
  /// The claim for payment.
  public var claim: ClaimBlock
  /// Cancellations that took effect.
  public var cancellations: [CancellationRequest]
  /// The issue before each notification, by message, and at its release.
  public var dispenseHistory: [String: DispenseSnapshot]
  /// What a batch job does next.
  public var nextActivity: NextActivity
  /// The first day it can be dispensed.
  @OrFalse public var dispenseWindowLowDate: String?
  /// The last day it can be dispensed.
  @OrFalse public var dispenseWindowHighDate: String?
  /// When it expires.
  @OrFalse public var expiryDate: String?
  /// When it was completed.
  @OrFalse public var completionDate: String?
  /// From when a nominated dispenser can download it.
  @OrFalse public var nominatedDownloadDate: String?
  /// When it was released.
  @OrFalse public var releaseDate: String?
  /// The release request's document.
  @OrFalse public var releaseRequestMsgRef: String?
  /// When the issue before was dispensed.
  @OrFalse public var previousIssueDate: String?

  /// Changes the status, remembering the one before.
  mutating func move(to status: IssueStatus) {
    previousStatus = prescriptionStatus
    prescriptionStatus = status
  }
}

/// One prescribed item.
public struct LineItem: Codable, Hashable, Sendable {
  /// The item's identifier.
  public var id: String
  /// The item's status.
  public var status: LineStatus
  /// The status before.
  @OrFalse public var previousStatus: LineStatus?
  /// The item's place, from 1.
  public var order: Int
  /// How often it may be dispensed.
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
  /// The dispenser that holds it.
  @OrFalse public var dispensingOrganization: String?
  /// The last notification's message.
  @OrFalse public var lastDispenseNotificationGuid: String?
  /// The last notification's document.
  @OrFalse public var lastDispenseNotificationMsgRef: String?
  /// When it was last dispensed from.
  @OrFalse public var lastDispenseDate: String?

  init() {
    dispensingOrganization = nil
  }
}

/// The claim for payment of an issue.
public struct ClaimBlock: Codable, Hashable, Sendable {
  /// The claim's identifier.
  @OrFalse public var claimGUID: String?
  /// When it was received.
  @OrFalse public var claimReceivedDate: String?
  /// The claim's document.
  @OrFalse public var dispenseClaimMsgRef: String?

  init() {
    claimGUID = nil
  }
}

/// The issue as it was before a dispense notification, or at its release.
public struct DispenseSnapshot: Codable, Hashable, Sendable {
  /// Who dispenses it.
  @OrFalse public var dispense: DispenseBlock?
  /// The status of the issue.
  @OrFalse public var prescriptionStatus: IssueStatus?
  /// The status the last notification gave it.
  @OrFalse public var lastDispenseStatus: IssueStatus?
  /// The items.
  @OrFalse public var lineItems: [LineItem]?
  /// When it was completed.
  @OrFalse public var completionDate: String?
}

/// What a batch job has to do with an issue next, and from which day.
public struct NextActivity: Codable, Hashable, Sendable {
  /// `ready`, `expire`, `createNoClaim`, `delete` or `purge`.
  @OrFalse public var activity: String?
  /// The day from which it is due.
  @OrFalse public var date: String?
}

/// One accepted change: who, when, from what to what, and the reply that was given.
///
/// Entries never change: a merge unites the logs of siblings.
public struct ChangeEntry: Codable, Hashable, Sendable {
  /// The serial change number the change was given.
  public var scn: Int
  /// When it was handled.
  public var timestamp: String
  /// The message's document.
  public var internalID: String
  /// The HL7 interaction.
  public var interactionID: String
  /// The sending system.
  @OrFalse public var agentSystem: String?
  /// The person.
  @OrFalse public var agentPerson: String?
  /// The organisation.
  @OrFalse public var agentOrganisation: String?
  /// The role profile.
  @OrFalse public var agentRole: String?
  /// When the change was prepared.
  @OrFalse public var timePrepared: String?
  /// The status of the current issue before.
  @OrFalse public var fromStatus: String?
  /// The status of the current issue after.
  @OrFalse public var toStatus: String?
  /// The current issue after.
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
