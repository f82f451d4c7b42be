/// The version of this server.
public enum ServerVersion {
  /// The version as text.
  public static let text = "0.1.0"
}
