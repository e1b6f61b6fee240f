import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.TreeSet;

/** Asks the queries of a folder through the JDBC driver of Flight SQL, and prints what came as lines of fields between tabs. */
public class Study {
  public static void main(String[] args) throws Exception {
    Properties with = new Properties();
    with.put("token", args[1]);
    with.put("useEncryption", "true");
    with.put("tlsRootCerts", args[2]);
    with.put("concordat-intervals", "true");
    try (Connection connection = DriverManager.getConnection("jdbc:arrow-flight-sql://" + args[0], with)) {
      say("valid", connection.isValid(10));
      about(connection.getMetaData());
      columnsOf(connection);
      List<Path> files = new ArrayList<>();
      try (var folder = Files.newDirectoryStream(Path.of(args[3]), "*.sql")) {
        folder.forEach(files::add);
      }
      boolean prepared = false; // one way and the other in turn
      for (Path file : files) {
        String name = file.getFileName().toString().replace(".sql", "");
        String sql = Files.readString(file);
        if (prepared) {
          try (PreparedStatement statement = connection.prepareStatement(sql)) {
            rows(name, statement.executeQuery());
          }
        } else {
          try (Statement statement = connection.createStatement()) {
            rows(name, statement.executeQuery(sql));
          }
        }
        prepared = !prepared;
      }
      for (String sql : List.of("SELECT 2", "SELECT * FROM clinic.patients LIMIT 0", "DELETE FROM clinic.patients")) {
        try (Statement statement = connection.createStatement()) {
          statement.execute(sql);
          say("released", sql);
        } catch (SQLException refused) {
          say("refused", sql, refused.getMessage());
        }
      }
    }
  }

  /** What tools ask of a driver before anything else; each of it has an answer. */
  static void about(DatabaseMetaData metadata) throws Exception {
    for (Method method : DatabaseMetaData.class.getMethods()) {
      if (method.getParameterCount() > 0) {
        continue;
      }
      try {
        Object told = method.invoke(metadata);
        if (told instanceof ResultSet list) {
          list.close();
        }
      } catch (InvocationTargetException failed) {
        say("unanswered", method.getName(), failed.getCause());
      }
    }
    TreeSet<String> tables = new TreeSet<>();
    try (ResultSet listed = metadata.getTables(null, null, "%", new String[] {"TABLE", "VIEW"})) {
      while (listed.next()) {
        tables.add(listed.getString(1) + " " + listed.getString(2) + "." + listed.getString(3));
      }
    }
    tables.forEach(table -> say("table", table));
    try (ResultSet listed = metadata.getColumns(null, "clinic", "patients", "%")) {
      while (listed.next()) {
        say("column", listed.getString(4), listed.getString(12));
      }
    }
  }

  /** What tools send before they ask: a probe, and queries without rows for their columns, by the names that the metadata lists. None of it is paid. */
  static void columnsOf(Connection connection) throws SQLException {
    List<String> texts = new ArrayList<>(List.of("SELECT 1"));
    try (ResultSet listed = connection.getMetaData().getTables(null, null, "%", null)) {
      while (listed.next()) {
        String quoted = "\"" + listed.getString(1) + "\".\"" + listed.getString(2) + "\".\"" + listed.getString(3) + "\"";
        String plain = listed.getString(2) + "." + listed.getString(3);
        texts.add("SELECT * FROM (SELECT COUNT(DISTINCT \"t\".\"id\") AS \"ctd:id:ok\" FROM " + quoted + " \"t\") \"Custom SQL\" WHERE 1=0");
        texts.add("SELECT COUNT(DISTINCT " + quoted + ".\"id\") FROM " + quoted + " LIMIT 0");
        texts.add("SELECT * FROM (SELECT COUNT(DISTINCT " + plain + ".id) AS n FROM " + plain + ") AS virtual_table\nLIMIT 0");
      }
    }
    for (String sql : texts) {
      try (PreparedStatement statement = connection.prepareStatement(sql)) {
        int columns = statement.getMetaData().getColumnCount(), rows = 0;
        try (ResultSet result = statement.executeQuery()) {
          for (; result.next(); rows++) {}
        }
        say("tool", sql, columns, rows);
      }
    }
    try {
      connection.prepareStatement("SELECT count(*) FROM clinic.patients WHERE male = ?").close();
    } catch (SQLException refused) {
      say("refused", "parameter", refused.getCause().getMessage()); // the driver leaves the reason to the cause
    }
  }

  static void rows(String name, ResultSet result) throws SQLException {
    int columns = result.getMetaData().getColumnCount();
    Object[] line = new Object[columns + 2];
    line[0] = "columns";
    line[1] = name;
    for (int i = 1; i <= columns; i++) {
      line[i + 1] = result.getMetaData().getColumnName(i);
    }
    say(line);
    line[0] = "row";
    while (result.next()) {
      for (int i = 1; i <= columns; i++) {
        line[i + 1] = result.getObject(i);
      }
      say(line);
    }
  }

  static void say(Object... fields) {
    StringBuilder line = new StringBuilder();
    for (Object field : fields) {
      line.append(line.length() > 0 ? "\t" : "").append(field == null ? "\\N" : field.toString().replace("\n", "\\n").replace("\t", " "));
    }
    System.out.println(line);
  }
}
