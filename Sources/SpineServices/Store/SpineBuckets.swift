public import KVBase

/// Every bucket of the services, declared once: name, replication, encoding, index terms, merge.
public enum SpineBuckets {
  /// Prescription records, by identifier without its check character.
  public static let prescriptions = TypedBucket<PrescriptionRecord>(
    json: BucketName("eps.record"), indexes: { $0.storedIndexes },
    merge: { PrescriptionMachine.merge($0, $1) })

  /// The messages received, as they came, by document key; written once.
  public static let documents = TypedBucket<Document>(
    BucketName("eps.document"), contentType: "application/fhir+json",
    encode: { $0.encoded() }, decode: { try Document(encoded: $0) }, indexes: { $0.indexTerms },
    merge: { $0.precedes($1) ? $0 : $1 })

  /// The prescriptions that wait for a nominated dispenser: a hint; the records are the truth.
  public static let nominations = TypedBucket<NominationList>(
    json: BucketName("eps.nomination"), merge: { $0.merged(with: $1) })

  /// The replies to nominated releases, by message, so that one can be given again.
  public static let worklists = TypedBucket<Worklist>(
    json: BucketName("eps.worklist"),
    indexes: { [IndexTerm("workListDate_bin", String($0.time.prefix(8)))] },
    merge: { $0.precedes($1) ? $0 : $1 })

  /// Patients' demographic records, by NHS number.
  public static let patients = TypedBucket<PatientRecord>(
    json: BucketName("pds.patient"), indexes: { $0.indexTerms }, merge: { $0.merged(with: $1) })

  /// Every version of a patient's record, by NHS number and version; written once.
  public static let patientHistory = TypedBucket<PatientVersion>(
    json: BucketName("pds.history"),
    indexes: { [IndexTerm("lastmod_bin", "\($0.time)|\($0.version)")] },
    merge: { $0.precedes($1) ? $0 : $1 })

  /// Which number replaced an old one.
  public static let superseded = TypedBucket<Supersession>(
    json: BucketName("pds.supersede"), indexes: { [IndexTerm("newnhs_bin", $0.target)] },
    merge: { $0.target <= $1.target ? $0 : $1 })

  /// Which summary of a patient is the current one, by NHS number.
  public static let summaryHeads = TypedBucket<SummaryHead>(
    json: BucketName("scr.head"), indexes: { $0.indexTerms }, merge: { $0.merged(with: $1) })

  /// The summaries themselves, by their identifier; written once.
  public static let summaryBodies = TypedBucket<SummaryBody>(
    BucketName("scr.body"), contentType: "application/fhir+json", encode: { $0.encoded() },
    decode: { try SummaryBody(encoded: $0) }, indexes: { $0.indexTerms },
    merge: { $0.precedes($1) ? $0 : $1 })

  /// Which chunks make up a large record, by conversation; written after them.
  public static let manifests = TypedBucket<RecordManifest>(
    json: BucketName("gp2gp.core"), indexes: { [IndexTerm("nhs_bin", $0.nhsNumber)] },
    merge: { $0.precedes($1) ? $0 : $1 })

  /// Pieces of large records, by the SHA-256 of their content: siblings are equal.
  public static let chunks = TypedBucket<Bytes>(
    BucketName("blob.chunk"), contentType: "application/octet-stream", encode: { $0 },
    decode: { $0 }, merge: { a, _ in a })

  /// Who read or changed what; written once.
  public static let audit = TypedBucket<AuditEvent>(
    json: BucketName("audit.event"), indexes: { $0.indexTerms },
    merge: { $0.precedes($1) ? $0 : $1 })

  /// The name and replication of each.
  static let all: [(BucketName, BucketSettings)] = [
    (prescriptions.name, prescriptions.settings), (documents.name, documents.settings),
    (nominations.name, nominations.settings), (worklists.name, worklists.settings),
    (patients.name, patients.settings), (patientHistory.name, patientHistory.settings),
    (superseded.name, superseded.settings), (summaryHeads.name, summaryHeads.settings),
    (summaryBodies.name, summaryBodies.settings), (manifests.name, manifests.settings),
    (chunks.name, chunks.settings), (audit.name, audit.settings),
  ]
}

/// A value that is written once: should two writers race, the same one of the two always stands.
protocol WrittenOnce: Encodable {}

extension WrittenOnce {
  /// True when this value comes first in the order of the encodings.
  func precedes(_ other: Self) -> Bool {
    let mine = (try? JSONCoding.encode(self)) ?? []
    let theirs = (try? JSONCoding.encode(other)) ?? []
    return !theirs.lexicographicallyPrecedes(mine)
  }
}
