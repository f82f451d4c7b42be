/// How long things last; the live values of the published library.
public enum Timers {
  static let noClaimDays = 180
  static let claimedDeleteDays = 36
  static let expiredDeleteDays = 90
  static let cancelledDeleteDays = 180
  static let notDispensedDeleteDays = 30
  static let placeholderDeleteDays = 180
  /// A repeat issue can be downloaded this many days before the last one runs out.
  static let downloadLeadDays = 7
  /// Days that an issue lasts when the order does not say.
  static let defaultDaysSupply = 28
}

extension PrescriptionRecord {
  /// What is to be done next with an issue, and from which day.
  ///
  /// **Source**: eps-spine-shared, `common/prescription/next_activity.py`.
  func activity(ofIssue number: Int) -> NextActivity {
    let issue = self[issue: number]
    let start = (prescription.prescriptionTime ?? "").prefix(8)
    func after(_ date: String?, _ days: Int, _ activity: String) -> NextActivity {
      let from = date.flatMap { CivilDate($0.prefix(8)) }
      return NextActivity(activity: activity, date: from?.adding(days: days).text)
    }
    let expire = NextActivity(activity: "expire", date: issue.expiryDate)
    switch issue.prescriptionStatus {
    case .awaitingRelease:
      let ready = issue.nominatedDownloadDate ?? issue.dispenseWindowLowDate
      if let ready, let expiry = issue.expiryDate, ready > expiry { return expire }
      return NextActivity(activity: "ready", date: ready)
    case .futureDated:
      return NextActivity(
        activity: "ready", date: max(issue.dispenseWindowLowDate ?? "", String(start)))
    case .toBeDispensed, .withDispenser, .futureIssue: return expire
    case .withDispenserActive:
      let last = issue.dispense.lastDispenseDate
      if issue.dispense.lastDispenseNotificationMsgRef != nil {
        return after(last, Timers.noClaimDays, "createNoClaim")
      }
      let limit = after(last, Timers.noClaimDays, "expire")
      return NextActivity(
        activity: "expire", date: [limit.date, issue.expiryDate].compactMap(\.self).min())
    case .dispensed: return after(issue.completionDate, Timers.noClaimDays, "createNoClaim")
    case .claimed, .noClaimed:
      return after(issue.claim.claimReceivedDate, Timers.claimedDeleteDays, "delete")
    case .expired: return after(issue.completionDate, Timers.expiredDeleteDays, "delete")
    case .cancelled: return after(issue.completionDate, Timers.cancelledDeleteDays, "delete")
    case .notDispensed: return after(issue.completionDate, Timers.notDispensedDeleteDays, "delete")
    case .pendingCancellation:
      return after(issue.completionDate, Timers.placeholderDeleteDays, "delete")
    }
  }

  /// The one activity the record is indexed by: the earliest that counts; `ready` first on a tie.
  ///
  /// Of past issues only `createNoClaim` counts, of the last issue also deletion, of future ones
  /// nothing.
  public var nextActivity: NextActivity? {
    let last = issueNumbers.last ?? 1
    let candidates = issueNumbers.filter { $0 <= currentIssue }.compactMap {
      number -> NextActivity? in
      let activity = self[issue: number].nextActivity
      guard activity.date != nil, let name = activity.activity else { return nil }
      let counts =
        name == "createNoClaim"
        || number == currentIssue && (name == "expire" || name == "ready")
        || number == currentIssue && number == last
      return counts ? activity : nil
    }
    return candidates.min {
      ($0.date ?? "", $0.activity != "ready") < ($1.date ?? "", $1.activity != "ready")
    }
  }
}

private func < (a: (String, Bool), b: (String, Bool)) -> Bool {
  a.0 != b.0 ? a.0 < b.0 : !a.1 && b.1
}
